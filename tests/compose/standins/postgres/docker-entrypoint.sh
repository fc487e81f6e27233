#!/usr/bin/env bash
# What the official image's entry point does, as far as the compose file relies on it: make the
# cluster once, run /docker-entrypoint-initdb.d on a server that listens on its socket alone, then
# serve. Its rules are kept: scripts with the x bit are run, the others are sourced.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
    install --directory --owner postgres --group postgres --mode 0700 "$PGDATA"
    exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?must be set}"
    export POSTGRES_USER="${POSTGRES_USER:-postgres}"
    export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
    initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") --pgdata "$PGDATA"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    export PGPASSWORD="$POSTGRES_PASSWORD"
    pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses=''" --wait start
    if [ "$POSTGRES_DB" != postgres ]; then
        createdb --username "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh)
                if [ -x "$file" ]; then
                    echo "$0: running $file"
                    "$file"
                else
                    echo "$0: sourcing $file"
                    . "$file"
                fi
                ;;
            *.sql)
                echo "$0: running $file"
                psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" \
                    --dbname "$POSTGRES_DB" --file "$file"
                ;;
            *) echo "$0: ignoring $file" ;;
        esac
    done
    pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
    unset PGPASSWORD
    echo "PostgreSQL init process complete; ready for start up."
fi

exec "$@"
