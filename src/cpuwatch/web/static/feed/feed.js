/** A tab's connection to the worker. Messages arrive while the tab is visible. */

const WORKER = new URL("./worker.js", import.meta.url);

export class Feed {
  /** `onMessage` receives each message of the worker; see worker.js. */
  constructor(onMessage) {
    if ("SharedWorker" in globalThis) {
      this.port = new SharedWorker(WORKER, { type: "module", name: "cpuwatch" }).port;
    } else {
      this.port = new Worker(WORKER, { type: "module", name: "cpuwatch" });
    }
    this.port.onmessage = ({ data }) => onMessage(data);
    this.token = "";
    document.addEventListener("visibilitychange", () => this.subscribe());
    addEventListener("pagehide", () => this.port.postMessage({ type: "sleep" }));
    addEventListener("pageshow", (event) => event.persisted && this.subscribe());
  }

  listen(token) {
    this.token = token;
    this.subscribe();
  }

  subscribe() {
    const type = document.visibilityState === "hidden" ? "sleep" : "listen";
    this.port.postMessage({ type, token: this.token });
  }

  /**
   * Requests a path of the API; the answer is a message of type `kind`. Of several requests of a kind, one is under way
   * and the newest one waits.
   */
  request(kind, path) {
    this.port.postMessage({ type: "request", kind, path });
  }
}
