/** A tab's end of the feed: messages come as long as somebody can see the page. */

const WORKER = new URL("./worker.js", import.meta.url);

export class Feed {
  /** `onMessage` gets each message of the worker; see feed_worker.js. */
  constructor(onMessage) {
    if ("SharedWorker" in globalThis) {
      this.port = new SharedWorker(WORKER, { type: "module", name: "cpuwatch" }).port;
    } else {
      this.port = new Worker(WORKER, { type: "module", name: "cpuwatch" });
    }
    this.port.onmessage = ({ data }) => onMessage(data);
    this.token = "";
    document.addEventListener("visibilitychange", () => this.follow());
    addEventListener("pagehide", () => this.port.postMessage({ type: "sleep" }));
    addEventListener("pageshow", (event) => event.persisted && this.follow());
  }

  listen(token) {
    this.token = token;
    this.follow();
  }

  follow() {
    const type = document.visibilityState === "hidden" ? "sleep" : "listen";
    this.port.postMessage({ type, token: this.token });
  }

  askMoment(sequence) {
    this.port.postMessage({ type: "moment", sequence });
  }
}
