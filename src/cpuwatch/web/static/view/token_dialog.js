/** The dialog that asks for the token. */

import { forgetToken, keepToken, storedToken } from "../feed/token.js";
import { byId, setText } from "./dom.js";

/** Opens the dialog; `onToken` receives the token that was entered. */
export function askToken(onToken) {
  const dialog = byId("token");
  const value = byId("token-value");
  setText(byId("token-note"), storedToken() ? "The server rejected this token." : "");
  forgetToken();
  byId("token-form").onsubmit = () => {
    keepToken(value.value.trim());
    value.value = "";
    onToken(storedToken());
  };
  if (!dialog.open) dialog.showModal();
}
