#!/usr/bin/python3
"""What is wrong inside stays inside: a client reads neither SQL nor paths, but a reference that the log has too. And a
database that takes no writes is counted, logged, and makes its gateways and workers not ready. Prints TAP. Starts servers
and daemons of its own."""
import http.client
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually, PATIENCE_S  # noqa: E402

INSIDE = re.compile(r"relation|sessions|could not|base/|SQLSTATE|4\dP\d\d|53\d\d\d|25006|pg_|duplicate key|constraint")


def get(address, path):
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def refused(stack, person, method, **message):
    """The status and the error of a call, which must fail; and that it holds nothing of the inside."""
    connection = http.client.HTTPConnection(*stack.address, timeout=PATIENCE_S)
    headers = {"content-type": "application/json", "authorization": "Bearer " + person.token}
    connection.request("POST", "/rookery.v1." + method, json.dumps(message), headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    told = re.sub(r"reference [0-9a-f]{16}", "", body)  # which may have any digits
    check(f"{method} says nothing of the inside", response.status >= 400 and not INSIDE.search(told), body)
    return response.status, json.loads(body)


def lost_table(stack, ada):
    stack.sql("ALTER TABLE sessions RENAME TO elsewhere")
    status, error = refused(stack, ada, "AccountService/Login", handle=ada.handle, password="correct horse battery")
    stack.sql("ALTER TABLE elsewhere RENAME TO sessions")
    found = re.fullmatch(r"internal error \(reference ([0-9a-f]{16})\)", error["message"])
    check("it is an internal error with a reference and no details", status == 500 and found and "details" not in error, error)
    lines = [line for line in stack.log("gateway-1").splitlines() if found and found[1] in line]
    check("the log has the reference, beside what is wrong", len(lines) == 1 and "42P01" in lines[0] and "sessions" in lines[0],
          lines)


def unexpected_constraint(stack, ada):
    stack.sql("ALTER TABLE posts ADD CONSTRAINT no_secrets CHECK (text <> 'secret') NOT VALID")
    status, error = refused(stack, ada, "PostService/CreatePost", text="secret")
    check("a constraint that nobody expects is an internal error", status == 500 and "reference" in error["message"], error)
    stack.sql("ALTER TABLE posts DROP CONSTRAINT no_secrets")


def posted(person, text):
    try:
        return person.post(text)
    except RuntimeError:
        return None


def no_room(stack, ada, state, cause, sentence):
    """As a full disk, a standby and a full server are: every insert of a post ends with that error."""
    raising = f"""RAISE EXCEPTION 'could not extend file "base/16386/16402": no room' USING ERRCODE = '{state}';"""
    stack.sql(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raising} END $$; "
              "CREATE TRIGGER refuse BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION refuse()")
    status, error = refused(stack, ada, "PostService/CreatePost", text="no room for this")
    check(f"{state}: a write is UNAVAILABLE", status == 503 and "try again later" in error["message"], error)
    code, said = get(stack.address, "/readyz")
    check(f"{state}: the gateway is not ready, and says why", code == 503 and sentence in said, (code, said))
    metrics = get(stack.metrics_address, "/metrics")[1]
    check(f"{state}: it is counted", re.search(rf'rookery_pg_shortages_total{{cause="{cause}"}} [1-9]', metrics))
    for i in range(30):
        posted(ada, f"no room for {i} either")
    check("reads go on", ada.call("AccountService/GetAccount", id=ada.id)["account"]["id"] == ada.id)
    stack.sql("DROP TRIGGER refuse ON posts; DROP FUNCTION refuse()")
    lines = [line for line in stack.log("gateway-1").splitlines() if "short of something" in line and state in line]
    check(f"{state}: it is logged, and not for each call", 1 <= len(lines) <= 10 and "16386" in lines[0], lines[:2])


def metrics_of(stack, cause):
    found = re.search(rf'rookery_pg_shortages_total{{cause="{cause}"}} (\d+)', get(stack.metrics_address, "/metrics")[1])
    return int(found[1])


def full_server(stack):
    """A PostgreSQL that takes no more connections of the role, which has lost those that it had."""
    before = metrics_of(stack, "connections")
    stack.sql("ALTER ROLE rookery CONNECTION LIMIT 0")
    stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rookery'")
    sentence = (503, "PostgreSQL has no connection to spare\n")
    check("without a connection the gateway is not ready, and says that the server has none to spare",
          eventually(lambda: get(stack.address, "/readyz") == sentence), get(stack.address, "/readyz"))
    check("connections that are refused are counted", metrics_of(stack, "connections") > before)
    lines = [line for line in stack.log("gateway-1").splitlines() if "short of something" in line and "too many connections" in line]
    check("and logged, not each", 1 <= len(lines) <= 10 and '"sqlstate":"53300"' in lines[0], lines[:2])
    stack.sql("ALTER ROLE rookery CONNECTION LIMIT -1")
    check("when it takes connections again, the gateway is ready", eventually(lambda: get(stack.address, "/readyz")[0] == 200))


def worker_without_room(stack, ada):
    """What only a worker writes cannot be written: it says so, and the gateway, which can write, does not."""
    address = ("127.0.0.1", int(stack.sh("free_port")))
    stack.worker("worker-1", ROOKERY_ROLES="relay,counts", ROOKERY_METRICS_LISTEN=f"{address[0]}:{address[1]}")
    stack.wait_ready("worker-1")
    check("a worker is ready", eventually(lambda: get(address, "/readyz")[0] == 200))
    post = ada.post("to be liked")
    stack.sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' "
              "USING ERRCODE = '53100'; END $$; "
              "CREATE TRIGGER refuse BEFORE INSERT ON post_counts FOR EACH ROW EXECUTE FUNCTION refuse()")
    ada.call("PostService/Like", postId=post)
    sentence = (503, "PostgreSQL is out of disk space\n")
    check("a worker whose writes are refused is not ready, and says why",
          eventually(lambda: get(address, "/readyz") == sentence), get(address, "/readyz"))
    check("the gateway, whose are not, is", get(stack.address, "/readyz")[0] == 200, get(stack.address, "/readyz"))
    stack.sql("DROP TRIGGER refuse ON post_counts; DROP FUNCTION refuse()")
    check("what waited is counted then", eventually(
        lambda: ada.call("PostService/GetPost", postId=post)["post"].get("likeCount") == "1"))
    return address


with Stack() as stack:
    stack.gateway()
    ada = stack.person("ada")
    worker = worker_without_room(stack, ada)
    lost_table(stack, ada)
    unexpected_constraint(stack, ada)
    no_room(stack, ada, "53100", "disk", "out of disk space")
    no_room(stack, ada, "25006", "read_only", "read-only")
    no_room(stack, ada, "53300", "connections", "no connection to spare")
    ready = eventually(lambda: posted(ada, "room again") and get(stack.address, "/readyz")[0] == 200)
    check("when writes are taken again, it is ready", ready)
    check("and so is the worker", eventually(lambda: get(worker, "/readyz")[0] == 200), get(worker, "/readyz"))
    full_server(stack)
done_testing()
