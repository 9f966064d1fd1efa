// Any number of files, sent a few at a time: each request stays small, and a lost one is sent again.

const MOST_BYTES = 24 * 1024 * 1024;
const TRIES = 4;
const form = document.querySelector("#upload");
if (form) start(form);

function start(form) {
  const most = Math.min(4, Number(form.dataset.most));
  const [files, folder] = ["#id_files", "#id_folder"].map((id) => form.querySelector(id));
  const [sending, bar, sent, send, stop] = ["#sending", "#bar", "#sent", "#send", "#stop"].map((id) => form.querySelector(id));
  form.querySelector("#without-script").hidden = true;
  form.querySelector("#folder-field").hidden = !("webkitdirectory" in folder);
  let isStopped = false;

  stop.addEventListener("click", () => (isStopped = true));
  addEventListener("beforeunload", (event) => send.disabled && event.preventDefault());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = [...files.files, ...folder.files].filter((file) => !file.name.startsWith("."));
    if (!chosen.length) return say("Choose files or a folder first.");
    send.disabled = true;
    isStopped = false;
    sending.hidden = stop.hidden = false;
    const refused = [];
    let done = 0;
    try {
      for (const batch of batches(chosen, most)) {
        if (isStopped) break;
        say(`Sending: ${done} of ${chosen.length} files.`);
        for (const outcome of await post(batch)) if (outcome.refusal) refused.push(outcome);
        done += batch.length;
        bar.value = done / chosen.length;
      }
      if (!isStopped) files.value = folder.value = "";
      const all = isStopped ? `Stopped: ${done} of ${chosen.length} files sent` : `${done} file${done === 1 ? "" : "s"} sent`;
      say(refused.length ? `${all}, ${refused.length} cannot be taken: see below.` : `${all}.`);
    } catch (error) {
      say(`${error.message} ${done} of ${chosen.length} files were sent; send them again to go on.`);
    } finally {
      send.disabled = false;
      stop.hidden = true;
      await refresh();
    }
  });

  const say = (sentence) => {
    sending.hidden = false;
    sent.textContent = sentence;
  };

  async function post(batch) {
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    for (const file of batch) {
      body.append("files", file);
      body.append("paths", withoutFolder(file));
    }
    for (let attempt = 1; ; attempt += 1) {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
      if (response?.ok) return (await response.json()).files;
      const isOver = response && response.status < 500 && response.status !== 429;
      if (isOver || attempt === TRIES) throw new Error(await sentenceOf(response));
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }

  async function refresh() {
    const response = await fetch(form.dataset.report, { headers: { "X-Requested-With": "import.js" } }).catch(() => null);
    if (response?.ok) document.querySelector("#report").innerHTML = await response.text();
  }
}

async function sentenceOf(response) {
  if (!response) return "The server cannot be reached.";
  if (response.headers.get("Content-Type")?.includes("json")) return (await response.json()).sentence;
  return response.status === 403 ? "This page is too old: load it again." : `The server answered ${response.status}.`;
}

/** The path below the chosen folder. */
function withoutFolder(file) {
  return file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name;
}

function* batches(files, most) {
  let batch = [];
  let bytes = 0;
  for (const file of files) {
    if (batch.length && (batch.length === most || bytes + file.size > MOST_BYTES)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(file);
    bytes += file.size;
  }
  if (batch.length) yield batch;
}
