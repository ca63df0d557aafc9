# SPDX-License-Identifier: BSD-3-Clause
"""TaskOverflow: a list of tasks, and a calendar of them that a Celery worker makes."""

import os

from flask import Flask

from todo.models import db
from todo.views.routes import api, pages


def create_app(config=None):
    app = Flask(__name__)
    app.config['SQLALCHEMY_DATABASE_URI'] = os.environ.get(
        'SQLALCHEMY_DATABASE_URI', 'sqlite:///todo.db')
    app.config.update(config or {})

    db.init_app(app)
    with app.app_context():
        db.create_all()
    app.register_blueprint(api)
    app.register_blueprint(pages)
    return app
