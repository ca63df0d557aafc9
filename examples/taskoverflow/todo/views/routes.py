# SPDX-License-Identifier: BSD-3-Clause
from datetime import datetime, timezone

from celery.result import AsyncResult
from flask import Blueprint, current_app, jsonify, request
from kombu.exceptions import OperationalError

from todo.models import db
from todo.models.todo import Todo
from todo.tasks import ical

api = Blueprint('api', __name__, url_prefix='/api/v1')
pages = Blueprint('pages', __name__)


class BadInput(Exception):
    """The text goes to the caller."""


@api.errorhandler(BadInput)
def bad_input(error):
    return jsonify({'error': str(error)}), 400


@pages.route('/')
def index():
    answer = current_app.send_static_file('index.html')
    answer.headers['Content-Security-Policy'] = "default-src 'self'; img-src 'self' data:"
    return answer


@api.route('/health')
def health():
    return jsonify({'status': 'ok'})


# ---- todos ----

def text_of(fields, name, most):
    value = fields[name]
    if value is not None and not isinstance(value, str):
        raise BadInput('%s must be a string' % name)
    if value and len(value) > most:
        raise BadInput('%s has more than %d characters' % (name, most))
    return value


def deadline_of(fields):
    value = fields['deadline_at']
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadInput('deadline_at must be a date like 2023-04-03T14:00:00') from None
    # The column has no zone: what comes with one is stored in UTC.
    return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment


def update(todo, fields):
    if not isinstance(fields, dict):
        raise BadInput('a JSON object is expected')
    if 'title' in fields:
        todo.title = text_of(fields, 'title', 80)
    if not todo.title:
        raise BadInput('title is missing')
    if 'description' in fields:
        todo.description = text_of(fields, 'description', 120)
    if 'completed' in fields:
        todo.completed = bool(fields['completed'])
    if 'deadline_at' in fields:
        todo.deadline_at = deadline_of(fields)


def not_found():
    return jsonify({'error': 'Todo not found'}), 404


@api.route('/todos', methods=['GET'])
def get_todos():
    todos = Todo.query.order_by(Todo.created_at.desc()).all()
    return jsonify([todo.to_dict() for todo in todos])


@api.route('/todos/<int:todo_id>', methods=['GET'])
def get_todo(todo_id):
    todo = db.session.get(Todo, todo_id)
    return jsonify(todo.to_dict()) if todo else not_found()


@api.route('/todos', methods=['POST'])
def create_todo():
    todo = Todo()
    update(todo, request.get_json(silent=True))
    db.session.add(todo)
    db.session.commit()
    return jsonify(todo.to_dict()), 201


@api.route('/todos/<int:todo_id>', methods=['PUT'])
def update_todo(todo_id):
    todo = db.session.get(Todo, todo_id)
    if todo is None:
        return not_found()
    with db.session.no_autoflush:
        update(todo, request.get_json(silent=True))
    db.session.commit()
    return jsonify(todo.to_dict())


@api.route('/todos/<int:todo_id>', methods=['DELETE'])
def delete_todo(todo_id):
    todo = db.session.get(Todo, todo_id)
    if todo is None:
        return jsonify({})
    db.session.delete(todo)
    db.session.commit()
    return jsonify(todo.to_dict())


# ---- the calendar, made by a worker ----

@api.route('/todos/ical', methods=['POST'])
def create_ical():
    todos = Todo.query.order_by(Todo.created_at.desc()).all()
    todo_input = []
    for todo in todos:
        todo_input.append(todo.to_dict())

    try:
        task = ical.create_ical.delay(todo_input)
    except OperationalError as error:
        return jsonify({'error': 'The queue cannot be reached: %s' % error}), 503

    result = {
        'task_id': task.id,
        'task_url': f'{request.host_url}api/v1/todos/ical/{task.id}/status',
    }
    return jsonify(result), 202


@api.route('/todos/ical/<task_id>/status', methods=['GET'])
def get_task(task_id):
    task_result = AsyncResult(task_id)
    result = {
        'task_id': task_id,
        'task_status': task_result.status,
        'result_url': f'{request.host_url}api/v1/todos/ical/{task_id}/result',
    }
    if task_result.failed():
        # More than the practical says: otherwise the reason is only in the worker's log.
        error = task_result.result
        result['error'] = f'{type(error).__name__}: {error}'
    return jsonify(result), 200


@api.route('/todos/ical/<task_id>/result', methods=['GET'])
def get_calendar(task_id):
    task_result = AsyncResult(task_id)
    if task_result.status == 'SUCCESS':
        return task_result.result, 200, {'Content-Type': 'text/calendar'}
    else:
        return jsonify({'error': 'Task not finished'}), 404
