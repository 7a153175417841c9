// What the browser does by itself. Notices don't depend on it: without it the page shows them all the same.
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const last = (selector) => all(selector).at(-1);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  // A sandboxed frame may have no storage.
  const storage = (() => { try { return sessionStorage } catch { return null } })();
  const keep = (name, value) => { try { value ? storage?.setItem(name, value) : storage?.removeItem(name) } catch { /* full */ } };
  const limit = () => Number(last("#count [data-limit]")?.dataset.limit ?? Infinity);
  const length = (text) => [...text].length;
  const box = () => document.querySelector("#question textarea");
  const literal = (text) => text.replace(/[^\p{L}\p{N}\s]/gu, (c) => `&#${c.codePointAt(0)};`);
  let expected = false; // an answer that was asked for here, and not yet told to a screen reader

  // The question stands in the chat, and the box is empty, before the server knows. One that is too long stays.
  function send(question, chat) {
    const text = (question ?? "").trim();
    if (!text) return ["", chat, ""];
    expected = true;
    if (length(text) > limit()) return [question, chat, question];
    keep("draft", "");
    const said = { role: "user", content: [{ type: "text", text: literal(text) }], metadata: {}, options: null };
    setTimeout(() => show("#chat .user-row"), 50);
    return ["", [...(chat ?? []), said], question];
  }

  // Scroll the last match to the top of the window, so that a notice is read from its first line, the numbers. Focus
  // moves there too if it was on a button that is hidden now.
  function show(selector) {
    const found = last(selector);
    found?.scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
    if (found && (document.activeElement === document.body || !document.activeElement?.checkVisibility())) {
      found.tabIndex = -1;
      found.focus({ preventScroll: true });
    }
  }

  // The text as it is read, with a dash before each item of a list.
  function readText(node) {
    const copy = node.cloneNode(true);
    for (const item of copy.querySelectorAll("li")) item.prepend("- ");
    copy.classList.add("unseen");
    copy.style.whiteSpace = "normal";
    document.body.append(copy);
    const text = copy.innerText;
    copy.remove();
    return text.replace(/^- \n+/gm, "- ").replace(/\n{3,}/g, "\n\n").trim();
  }

  async function copy(button) {
    const text = readText(button.closest(".message-buttons").previousElementSibling.querySelector(".message-content"));
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not allowed in this frame
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    tell("Copied.");
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 2000);
  }

  // TRAP: what is written here is observed, too, so the same words a second time would never end.
  function tell(text) {
    const spoken = last("#spoken p");
    if (spoken && spoken.textContent !== text) spoken.textContent = text;
  }

  // A screen reader is told each answer once, when it is whole; notices are alerts and speak for themselves.
  function announce() {
    const row = all("#chat .bot-row").filter((each) => each.querySelector(".answer, .care, .fixed")).at(-1);
    const writing = Boolean(row?.querySelector(".writing"));
    const state = !row ? "" : row.querySelector(".care, .fixed") ? "fixed" : writing ? "writing" : "answer";
    const chat = document.querySelector("#chat");
    if (chat && chat.dataset.last !== state) chat.dataset.last = state;
    if (!expected || !row || row.nextElementSibling?.matches(".user-row") || last("#chat .message-row")?.matches(".user-row")) return;
    if (writing) return tell("The answer is being written.");
    expected = false;
    const pages = last("#chat .sources li") ? " Pages to read are listed above it." : "";
    tell(row.querySelector(".care") ? "" : `Answer: ${readText(row.querySelector(".message-content"))} End of the answer.${pages}`);
  }

  function count() {
    const used = length(box()?.value.trim() ?? "");
    const shown = last("#count [data-limit]");
    const text = used > 0.8 * limit() ? `${used.toLocaleString("en")} of ${limit().toLocaleString("en")} characters` : "";
    if (shown && shown.textContent !== text) shown.textContent = text;
    shown?.classList.toggle("over", used > limit());
  }

  // Gradio labels a message with its raw Markdown, which a screen reader may read instead of the message, and reads
  // every step of an answer. A message that is too long for its box must be scrollable by keyboard.
  function tidy() {
    const heading = document.querySelector("gradio-app .top h1")?.textContent;
    if (heading) document.querySelector("#first")?.remove();
    if (heading && !document.title.startsWith(heading)) document.title = `${heading}: general health information`;
    document.querySelector("#chat [role=log]")?.setAttribute("aria-live", "off");
    for (const said of all("#chat [data-testid=user], #chat [data-testid=bot]")) {
      const label = said.dataset.testid === "user" ? "Your message" : said.querySelector(".sources") ? "Pages" : "Answer";
      if (said.getAttribute("aria-label") !== label) {
        said.setAttribute("role", "group");
        said.setAttribute("aria-label", label);
        said.dir = "auto";
      }
      if (said.scrollHeight > said.clientHeight) said.tabIndex = 0;
    }
    for (const area of all("textarea[dir=ltr]")) area.dir = "auto";
    announce();
    count();
  }

  new MutationObserver(tidy).observe(document.body, { childList: true, subtree: true, attributeFilter: ["aria-label"] });
  document.addEventListener("input", (event) => {
    if (!event.target.closest("#question")) return;
    keep("draft", event.target.value.slice(0, 1e6));
    count();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#chat .message-buttons button");
    if (!button) return;
    event.stopPropagation();
    copy(button);
  }, true);
  document.addEventListener("submit", (event) => {
    const form = event.target.closest(".report form");
    if (!form) return;
    const part = (tick, name, selector) =>
      document.querySelector(tick)?.checked && last(selector) ? [`${name}:\n${readText(last(selector))}`] : [];
    const field = form.elements.description;
    const revision = field.defaultValue;
    field.value = [
      "What is wrong with it: ",
      ...part("#with-question", "Question", "#chat .user-row .message-content"),
      ...part("#with-answer", "Answer", "#chat .message-content:has(.answer)"),
      `Model: ${revision}`,
    ].join("\n\n").slice(0, 6000);
    setTimeout(() => { field.value = revision });
  });

  window.page = { send, show, keep, expect: () => { expected = true } };
  tidy();
}
