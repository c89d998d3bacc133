/** One animation frame for all waves of the page. */

const painters = new Set<() => void>();
let running = false;

function frame(): void {
  for (const paint of painters) paint();
  if (painters.size > 0) requestAnimationFrame(frame);
  else running = false;
}

export function onEachFrame(paint: () => void): () => void {
  painters.add(paint);
  if (!running) {
    running = true;
    requestAnimationFrame(frame);
  }
  return () => painters.delete(paint);
}
