// What is known of a chosen file before it is sent, and copies of it that are small enough.
const THUMB_PX = 320;
const SHRUNK_PX = 4000;
// What a request holds besides the picture, in bytes.
const AROUND = 16_000;
const SENT = ["jpeg", "png", "webp", "bmp", "tiff"];

export class PictureError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export async function findKind(file) {
  const head = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (head.length === 0) return "empty";
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG")) return "png";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "webp";
  if (text.startsWith("BM")) return "bmp";
  if (text.startsWith("II*\0") || text.startsWith("MM\0*")) return "tiff";
  if (text.slice(4, 8) === "ftyp") return /^(hei|hev|mif1|msf1)/.test(text.slice(8, 12)) ? "heic" : "other";
  return /^GIF8/.test(text) ? "other" : /\.(heic|heif)$/i.test(file.name) ? "heic" : "unknown";
}

// The service judges the picture as it is, so it is sent as it is wherever the service takes it.
// Gives what to send, under which name, and why it is a copy: "" when it is the file itself.
export async function prepare(file, limits) {
  const kind = await findKind(file);
  if (kind === "empty") throw new PictureError("empty");
  if (kind === "unknown") throw new PictureError("no_image");
  const size = await measure(file);
  const room = limits?.max_mb ? limits.max_mb * 1e6 - AROUND : Infinity;
  const most = limits?.max_megapixels ? limits.max_megapixels * 1e6 : Infinity;
  const isLarge = file.size > room || (size && size.width * size.height > most);
  if (SENT.includes(kind) && !isLarge) return { blob: file, name: file.name, copied: "", size };
  if (!size) throw new PictureError(kind === "heic" ? "heic" : SENT.includes(kind) ? "too_large" : "no_image");
  const name = `${file.name.replace(/\.[^.]*$/, "")}.jpg`;
  const longest = Math.max(size.width, size.height);
  const widest = Math.min(longest, longest * Math.sqrt(most / (size.width * size.height)));
  for (const side of [isLarge ? Math.min(SHRUNK_PX, widest) : widest, 2800, 2000, 1400, 1000, 700]) {
    const blob = await copy(file, Math.min(1, Math.min(side, widest) / longest), 0.92);
    const copied = isLarge || side < widest ? "shrunk" : "converted";
    if (blob.size <= room) return { blob, name, copied, size };
  }
  throw new PictureError("too_large");
}

async function measure(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const size = { width: bitmap.width, height: bitmap.height };
    bitmap.close();
    return size;
  } catch {
    return null;
  }
}

async function copy(file, scale, quality) {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  // A JPEG knows no transparency: white as paper.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", quality); });
  if (!blob) throw new PictureError("too_large");
  return blob;
}

// A small copy as a text, so that it can be kept; "" for what this browser cannot show.
export async function drawThumb(file, size) {
  if (!size) return "";
  try {
    const blob = await copy(file, Math.min(1, THUMB_PX / Math.max(size.width, size.height)), 0.8);
    return await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });
  } catch {
    return "";
  }
}
