/** An attachment: the element that has just appeared is where the person goes on. */
export const focus = (element: HTMLElement): void => element.focus();
