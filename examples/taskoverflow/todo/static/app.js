/* SPDX-License-Identifier: BSD-3-Clause */
"use strict";

const API = "/api/v1/todos";
const byId = (id) => document.getElementById(id);

/* Text from users goes into the page through textContent alone, never as HTML. */
function element(name, text, className) {
  const e = document.createElement(name);
  e.textContent = text;
  if (className) {
    e.className = className;
  }
  return e;
}

function show(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body ? {"Content-Type": "application/json"} : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(json.error || `${answer.status} ${answer.statusText}`);
  }
  return json;
}

/* ---- tasks ---- */

function readable(iso) {
  return new Date(iso).toLocaleString([], {
    weekday: "short", year: "numeric", month: "short", day: "numeric",
    hour: "2-digit", minute: "2-digit",
  });
}

function row(todo) {
  const li = document.createElement("li");
  li.classList.toggle("done", todo.completed);

  const done = element("input", "");
  done.type = "checkbox";
  done.checked = todo.completed;
  done.setAttribute("aria-label", `Completed: ${todo.title}`);
  done.addEventListener("change", () =>
    change("PUT", todo, {completed: done.checked}));

  const what = element("div", "", "what");
  what.append(element("strong", todo.title));
  if (todo.description) {
    what.append(element("span", todo.description, "muted"));
  }

  let due = element("span", "no deadline", "muted none");
  if (todo.deadline_at) {
    due = element("time", readable(todo.deadline_at));
    due.dateTime = todo.deadline_at;
  }

  const remove = element("button", "Delete", "plain");
  remove.type = "button";
  remove.setAttribute("aria-label", `Delete: ${todo.title}`);
  remove.addEventListener("click", () => change("DELETE", todo));
  li.append(done, what, due, remove);
  return li;
}

async function list() {
  const todos = await call("GET", API);
  byId("todos").replaceChildren(...todos.map(row));
  byId("empty").hidden = todos.length > 0;
  byId("count").textContent = todos.length || "";
}

async function change(method, todo, body) {
  try {
    await call(method, `${API}/${todo.id}`, body);
    await list();
    show("form-error", "");
  } catch (error) {
    show("form-error", error.message);
  }
}

async function add(event) {
  event.preventDefault();
  const todo = {title: byId("title").value};
  const deadline = byId("deadline").value;
  if (byId("description").value) {
    todo.description = byId("description").value;
  }
  if (deadline) {
    todo.deadline_at = deadline.length === 16 ? `${deadline}:00` : deadline;
  }
  byId("add").disabled = true;
  try {
    await call("POST", API, todo);
    byId("new").reset();
    show("form-error", "");
    await list();
  } catch (error) {
    show("form-error", error.message);
  } finally {
    byId("add").disabled = false;
    byId("title").focus();
  }
}

/* ---- the calendar ---- */

const STATES = {
  PENDING: "Waiting for a worker",
  RECEIVED: "Received by a worker",
  STARTED: "Being made",
  RETRY: "Being tried again",
  SUCCESS: "Ready",
  FAILURE: "Failed",
  REVOKED: "Cancelled",
};
const ENDED = ["SUCCESS", "FAILURE", "REVOKED"];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function showState(state, seconds) {
  const ended = ENDED.includes(state);
  const label = byId("state");
  label.textContent = STATES[state] || state;
  label.className = "state" +
    (state === "SUCCESS" ? " good" : ended ? " bad" : "");
  label.dataset.state = state;
  byId("elapsed").textContent = `${seconds.toFixed(1)} s`;
  byId("progress").hidden = ended;
}

async function finish(job, status) {
  if (status.task_status !== "SUCCESS") {
    show("job-error", status.error || "The task ended without a calendar.");
    return;
  }
  const path = `${API}/ical/${job.task_id}/result`;
  const file = await fetch(path);
  if (!file.ok) {
    throw new Error(`The calendar cannot be read: ${file.status}`);
  }
  byId("ics").textContent = await file.text();
  byId("preview").hidden = false;
  byId("download").href = path;
  byId("download").hidden = false;
}

async function follow(job) {
  const started = performance.now();
  for (let wait = 100; ; wait = Math.min(wait * 1.5, 2000)) {
    const status = await call("GET", `${API}/ical/${job.task_id}/status`);
    showState(status.task_status, (performance.now() - started) / 1000);
    if (ENDED.includes(status.task_status)) {
      return finish(job, status);
    }
    await pause(wait);
  }
}

async function create() {
  byId("create").disabled = true;
  byId("download").hidden = true;
  byId("preview").hidden = true;
  byId("job").hidden = false;
  byId("task-id").textContent = "";
  show("job-error", "");
  showState("PENDING", 0);
  try {
    const job = await call("POST", `${API}/ical`);
    byId("task-id").textContent = job.task_id;
    await follow(job);
  } catch (error) {
    show("job-error", error.message);
    byId("progress").hidden = true;
  } finally {
    byId("create").disabled = false;
  }
}

byId("new").addEventListener("submit", add);
byId("create").addEventListener("click", create);
list().catch((error) => show("form-error", error.message));
