/** The token, kept for this tab only. */

const STORAGE_KEY = "cpuwatch.token";

export const storedToken = () => sessionStorage.getItem(STORAGE_KEY) ?? "";

export const keepToken = (token) => sessionStorage.setItem(STORAGE_KEY, token);

export const forgetToken = () => sessionStorage.removeItem(STORAGE_KEY);
