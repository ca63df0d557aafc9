# SPDX-License-Identifier: BSD-3-Clause
"""The Celery application, shared by the Flask application, which calls the task, and a
Python worker, which runs it.  Where ical-worker runs it, create_ical() is only a name."""

import datetime
import json
import os
import time

from celery import Celery

celery = Celery(__name__)
celery.conf.broker_url = os.environ.get('CELERY_BROKER_URL')
celery.conf.result_backend = os.environ.get('CELERY_RESULT_BACKEND')
if os.environ.get('CELERY_BROKER_TRANSPORT_OPTIONS'):
    celery.conf.broker_transport_options = json.loads(
        os.environ['CELERY_BROKER_TRANSPORT_OPTIONS'])
celery.conf.task_default_queue = os.environ.get('CELERY_DEFAULT_QUEUE', 'ical')
celery.set_default()  # for the threads of the web server too, whose AsyncResult() asks it


@celery.task(name='ical')
def create_ical(tasks):
    import icalendar  # a worker needs it, the Flask application does not

    cal = icalendar.Calendar()
    cal.add('prodid', '-//Taskoverflow Calendar//mxm.dk//')
    cal.add('version', '2.0')

    time.sleep(float(os.environ.get('ICAL_GENERATION_DELAY_SECONDS', '0')))

    for task in tasks:
        event = icalendar.Event()
        event.add('uid', task['id'])
        event.add('summary', task['title'])
        event.add('description', task['description'])
        event.add('dtstart', datetime.datetime.strptime(
            task['deadline_at'], '%Y-%m-%dT%H:%M:%S'))
        cal.add_component(event)

    return cal.to_ical().decode('utf-8')
