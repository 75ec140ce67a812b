#!/usr/bin/python3
"""A password is the same however a keyboard composes it; hashes of what was typed before that still do, and are replaced at
a login, as are hashes that cost less than is asked for now. Prints TAP. Starts servers and daemons of its own."""
import ctypes
import os
import sys
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import Stack  # noqa: E402
from tap import check, done_testing  # noqa: E402

COMPOSED = unicodedata.normalize("NFC", "pässwörd 한글")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
WIDE = COMPOSED.replace(" ", "\u3000")


def logs_in(person, password):
    try:
        return bool(person.call("AccountService/Login", handle=person.handle, password=password)["token"])
    except RuntimeError as error:
        assert " 401 " in str(error), error
        return False


def stored(stack, person):
    return stack.sql(f"SELECT password_hash FROM accounts WHERE id = {person.id}")


def hash_of(password):
    """As a release stored it that took passwords as they were typed."""
    sodium = ctypes.CDLL("libsodium.so.23")
    room, text = ctypes.create_string_buffer(128), password.encode()
    assert sodium.sodium_init() >= 0
    assert sodium.crypto_pwhash_str(room, text, ctypes.c_ulonglong(len(text)), ctypes.c_ulonglong(1), ctypes.c_size_t(8 << 20)) == 0
    return room.value.decode()


def forms(stack, ada):
    ada.call("AccountService/ChangePassword", currentPassword="correct horse battery", newPassword=DECOMPOSED)
    for name, password in ("composed", COMPOSED), ("decomposed", DECOMPOSED), ("with a wide blank", WIDE):
        check(f"a password logs in {name}", logs_in(ada, password))
    before = stored(stack, ada)
    check("another password does not", not logs_in(ada, unicodedata.normalize("NFKD", "passwort 한글")))
    check("its hash is kept", stored(stack, ada) == before)
    ada.call("AccountService/ChangePassword", currentPassword=WIDE, newPassword=COMPOSED + "!")
    check("the current password has one form, too", logs_in(ada, DECOMPOSED + "!") and not logs_in(ada, COMPOSED))


def old_hashes(stack, bob):
    old = hash_of(DECOMPOSED)
    stack.sql(f"UPDATE accounts SET password_hash = '{old}' WHERE id = {bob.id}")
    check("an old hash is of one form only", not logs_in(bob, COMPOSED) and stored(stack, bob) == old)
    check("what was typed then still logs in", logs_in(bob, DECOMPOSED))
    check("and makes the hash one of the normal form", stored(stack, bob) != old and logs_in(bob, COMPOSED))
    old = hash_of(WIDE)
    stack.sql(f"UPDATE accounts SET password_hash = '{old}' WHERE id = {bob.id}")
    bob.call("AccountService/ChangePassword", currentPassword=WIDE, newPassword="correct horse battery")
    check("it changes the password, too", logs_in(bob, "correct horse battery"))


def with_costs(stack, number, **settings):
    """Another gateway, which asks for other costs."""
    port = stack.sh("free_port")
    stack.start(f"gateway-{number}", "rookery-gateway", ROOKERY_LISTEN=f"127.0.0.1:{port}", **settings)
    stack.sh(f"daemon_wait gateway-{number} http_is_ok 127.0.0.1 {port} /readyz")
    return ("127.0.0.1", int(port))


def costs(stack, eve):
    cheap = stored(stack, eve)
    check("the hash has the costs of the settings", "m=8192,t=1," in cheap, cheap)
    dear = with_costs(stack, 2, ROOKERY_PASSWORD_MEMORY_KIB=16384, ROOKERY_PASSWORD_PASSES=2)
    check("a wrong password raises no hash", not logs_in(eve.at(dear), "wrong horse battery") and stored(stack, eve) == cheap)
    check("a login with higher settings", logs_in(eve.at(dear), "correct horse battery"))
    raised = stored(stack, eve)
    check("raises the hash to them", "m=16384,t=2," in raised, raised)
    check("the next login leaves it", logs_in(eve.at(dear), "correct horse battery") and stored(stack, eve) == raised)
    check("lower settings do not lower it", logs_in(eve, "correct horse battery") and stored(stack, eve) == raised)


with Stack() as stack:
    stack.gateway()
    ada, bob, eve = (stack.person(name) for name in ("ada", "bob", "eve"))
    forms(stack, ada)
    old_hashes(stack, bob)
    costs(stack, eve)
done_testing()
