/** Looks through the camera of this machine until it sees a QR code. */

import decodeQR from "qr/decode.js";

const LOOK_EVERY_MS = 200;
const WIDEST = 960;

/** Browsers give a camera only on loopback or over HTTPS. */
export const hasCamera = (): boolean => isSecureContext && Boolean(navigator.mediaDevices);

/** Starts the camera; the returned function ends it. Rejects where the camera is refused or missing. */
export async function watchForCode(
  video: HTMLVideoElement,
  onCode: (text: string) => void,
): Promise<() => void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  video.srcObject = stream;
  await video.play();
  const canvas = document.createElement("canvas");
  const timer = setInterval(() => {
    const text = codeIn(video, canvas);
    if (text !== null) onCode(text);
  }, LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
}

function codeIn(video: HTMLVideoElement, canvas: HTMLCanvasElement): string | null {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context || !video.videoWidth) return null;
  const scale = Math.min(1, WIDEST / video.videoWidth);
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  try {
    return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
  } catch {
    return null; // no code in this picture
  }
}
