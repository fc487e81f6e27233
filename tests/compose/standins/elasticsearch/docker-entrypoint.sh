#!/usr/bin/env bash
# As in the official image, environment variables with a dot in their name are settings, and
# ES_JAVA_OPTS goes to Java. Settings of x-pack, which is not here, are accepted when they turn it
# off and refused otherwise.
set -euo pipefail
home=/usr/share/elasticsearch

{
    echo "network.host: 0.0.0.0"
    echo "cluster.name: docker-cluster"
    echo "path.data: $home/data"
    echo "path.logs: $home/logs"
    while IFS= read -r -d '' variable; do
        name="${variable%%=*}"
        value="${variable#*=}"
        case "$name" in
            xpack.*)
                [ "$value" = false ] || { echo "no x-pack in this stand-in: $name" >&2; exit 78; }
                ;;
            [a-z]*.*) printf '%s: %s\n' "$name" "$value" ;;
        esac
    done < <(env -0)
} > "$home/config/elasticsearch.yml"

# shellcheck disable=SC2046,SC2086 # both hold several options
exec java \
    -XX:+UseSerialGC -XX:-UsePerfData -Dfile.encoding=UTF-8 -Djava.awt.headless=true \
    -Djava.io.tmpdir="$home/tmp" -Djna.tmpdir="$home/tmp" \
    -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true \
    -Dio.netty.recycler.maxCapacityPerThread=0 -Des.distribution.type=docker \
    $(cat "$home/jvm-options") ${ES_JAVA_OPTS:-} \
    -cp "$home/lib/*" "$(cat "$home/main-class")" "$home" "$home/config"
