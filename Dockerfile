# The image of the listener: the program in a virtual environment, nothing else.
#
# config.yaml and the folder sql are mounted read-only into /etc/listener, the watermark lives in a
# volume at /var/lib/listener. The root file system may be read-only: modules are compiled while
# the image is built, and only /tmp and the volume are written to.

ARG BASE_IMAGE=python:3.12.13-slim-bookworm

# pip stays in this stage.
FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/listener
# The dependencies first: they change less often than the program.
COPY requirements.txt ./
RUN python -m pip --python /opt/listener/bin/python install --requirement requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY listener ./listener
RUN python -m pip --python /opt/listener/bin/python install --no-deps .

FROM ${BASE_IMAGE}
# A fixed uid, so that the owner of the volume is the same in every version of the image.
RUN groupadd --gid 10001 listener \
    && useradd --uid 10001 --gid listener --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin listener \
    && install --directory --owner listener --group listener --mode 0700 /var/lib/listener
COPY --from=build /opt/listener /opt/listener
ENV PATH=/opt/listener/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LISTENER_STATE_FILE_NAME=/var/lib/listener/state.yaml
WORKDIR /etc/listener
USER 10001:10001
VOLUME /var/lib/listener
STOPSIGNAL SIGTERM
# Signs of life alone: an orchestrator may restart what is unhealthy, and a restart must help. For
# alarms there is `listener health`, which also fails where something waits for a person.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["listener", "health", "--live"]
ENTRYPOINT ["listener"]
CMD ["run"]
