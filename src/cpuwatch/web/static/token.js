/** The token, asked for once and kept for this tab. */

import { byId, setText } from "./dom.js";

const STORED = "cpuwatch.token";

export const storedToken = () => sessionStorage.getItem(STORED) ?? "";

/** Ask; `onToken` gets what was typed. */
export function askToken(onToken) {
  const dialog = byId("token");
  const value = byId("token-value");
  setText(byId("token-note"), storedToken() ? "That token was not accepted." : "");
  sessionStorage.removeItem(STORED);
  byId("token-form").onsubmit = () => {
    sessionStorage.setItem(STORED, value.value.trim());
    value.value = "";
    onToken(storedToken());
  };
  if (!dialog.open) dialog.showModal();
}
