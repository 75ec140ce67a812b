#!/usr/bin/env bash
# scripts/check-migrations and scripts/previous-release: the migrations of this checkout leave the previous release what it uses, each
# way of taking something from it is named, and the release that is meant is one that the history has.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$root" || exit

migrations=core/store/migrate/migrations
last=$(scripts/previous-release --last-migration)
commit=$(scripts/previous-release --commit)

# ---- this checkout

same_as_released() { # each migration up to $last is as it was released: its checksum is in databases
    local file status=0
    while IFS= read -r file; do
        git show "$commit:$file" | cmp - "$file" || status=1
    done < <(git ls-tree --name-only "$commit" "$migrations/")
    return $status
}
last_of_release() { git ls-tree --name-only "$commit" "$migrations/" | sed 's,.*/0*\([0-9]*\)_.*,\1,' | sort -n | tail -n 1; }

check "this checkout's migrations are of use to the previous release" scripts/check-migrations
if git cat-file -e "$commit^{commit}" 2>/dev/null; then
    check "the previous release's last migration is number $last" [ "$(last_of_release)" = "$last" ]
    check "what it released is unchanged" same_as_released
else
    skip "the previous release is in the history" "the history does not have $commit"
fi

# ---- planted ones

write() { # SQL, in the only migration that is newer than number 10
    rm -f "$folder"/*.sql
    echo "DROP TABLE birds;" >"$folder/0010_released.sql"
    printf '%s\n' "$1" >"$folder/0011_new.sql"
}
passes() { # SQL
    write "$1"
    scripts/check-migrations "$folder" 10
}
# The second line of each is the statement that is meant.
refuses() { # TEXT SQL
    local output
    write "-- new"$'\n'"$2"
    output=$(scripts/check-migrations "$folder" 10) && return 1
    echo "$output"
    grep -q "0011_new.sql:2: $1" <<<"$output" && grep -q "docs/upgrading.md" <<<"$output"
}

while IFS='|' read -r text sql; do
    check "refused: $sql" refuses "$text" "$sql"
done <<'TEXT'
removes something|DROP TABLE birds;
removes something|DROP INDEX birds_by_name;
removes something|TRUNCATE birds;
removes something|ALTER TABLE birds ADD COLUMN legs integer, DROP COLUMN wings;
removes something|alter table if exists only "birds" drop constraint birds_name_key;
removes a default|ALTER TABLE birds ALTER COLUMN legs DROP DEFAULT;
renames|ALTER TABLE birds RENAME TO fowl;
renames|ALTER TABLE birds RENAME COLUMN legs TO feet;
changes a type|ALTER TABLE birds ALTER COLUMN legs TYPE bigint;
changes a type|ALTER TABLE birds ALTER legs SET DATA TYPE bigint;
demands a value|ALTER TABLE birds ALTER COLUMN legs SET NOT NULL;
demands a value|ALTER TABLE birds ALTER COLUMN legs SET NOT NULL, ALTER COLUMN wings SET DEFAULT 2;
adds a column that demands a value|ALTER TABLE birds ADD COLUMN legs numeric(3, 1) NOT NULL;
adds a condition|ALTER TABLE birds ADD CONSTRAINT few CHECK (legs < 3);
adds a condition|CREATE UNIQUE INDEX birds_name ON birds (name);
required_migration is 11|INSERT INTO settings VALUES ('required_migration', '11');
required_migration is 12|INSERT INTO settings VALUES ('required_migration', '9'), ('required_migration', '12');
required_migration is set in another form|UPDATE settings SET value = '12' WHERE name = 'required_migration';
TEXT

while IFS= read -r sql; do
    check "accepted: $sql" passes "$sql"
done <<'TEXT'
CREATE TABLE nests (id bigint PRIMARY KEY); CREATE UNIQUE INDEX nests_id ON nests (id); ALTER TABLE nests ADD CHECK (id > 0);
ALTER TABLE birds ADD COLUMN legs integer NOT NULL DEFAULT 2, ADD COLUMN wings numeric(3, 1);
ALTER TABLE birds ALTER COLUMN legs SET DEFAULT 2, ALTER COLUMN legs SET NOT NULL;
ALTER TABLE birds ALTER COLUMN legs DROP NOT NULL;
CREATE INDEX birds_by_legs ON birds (legs);
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE birds'; DROP TABLE nests; END $$;
INSERT INTO words VALUES ('; DROP TABLE birds; --'); -- DROP TABLE birds;
ALTER TABLE birds DROP COLUMN legs; INSERT INTO settings (name, value) VALUES ('required_migration', '10');
TEXT

rm -f "$folder"/*.sql
check_not "nothing to look at is not a success" scripts/check-migrations "$folder" 10

# ---- a checkout without the history

mkdir -p "$folder/archive"
cp -R scripts "$folder/archive/"
has_none() {
    local status=0
    "$folder/archive/scripts/previous-release" || status=$?
    [ $status = 77 ]
}
check "without a history its name is known" [ "$("$folder/archive/scripts/previous-release" --commit)" = "$commit" ]
check "and a sentence says why it cannot be built" says "there is no history here" "$folder/archive/scripts/previous-release"
check "with a status of its own" has_none
shallow() {
    git -C "$folder/archive" init -q && git -C "$folder/archive" -c user.name=t -c user.email=t@t commit -q --allow-empty -m t &&
        git -C "$folder/archive" rev-parse HEAD >"$folder/archive/.git/shallow"
}
if command -v git >/dev/null; then
    check "a shallow clone can be made" shallow
    check "in which the sentence says how to get the rest" says "git fetch --unshallow" "$folder/archive/scripts/previous-release"
else
    skip "a shallow clone" "there is no git here"
fi
done_testing
