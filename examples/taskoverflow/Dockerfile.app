# SPDX-License-Identifier: BSD-3-Clause
# The Flask application, with Debian's Python packages.  In the top folder:
#
#     docker build -f examples/taskoverflow/Dockerfile.app -t taskoverflow-app .
FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3 python3-flask python3-flask-sqlalchemy python3-celery python3-redis \
        python3-psycopg2 python3-boto3 python3-pycurl \
    && rm -rf /var/lib/apt/lists/*
COPY examples/taskoverflow/todo /app/todo
RUN useradd --uid 10002 --create-home app
USER app
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 6400
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python3", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:6400/api/v1/health', timeout=4)"]
CMD ["python3", "-m", "flask", "--app", "todo", "run", "--host", "0.0.0.0", "--port", "6400"]
