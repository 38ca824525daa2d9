"use strict";
// Excerpts of clips, stored in the page as base64 and decoded on first use.

const excerpts = new Map();

/** {video: an object URL, sound: bytes, seconds} of clip n. */
function excerpt(n) {
  if (!excerpts.has(n)) {
    const media = JSON.parse(document.querySelector(`script.media[data-clip="${n}"]`).textContent);
    const video = new Blob([bytes(media.video)], { type: "video/mp4" });
    excerpts.set(n, { video: URL.createObjectURL(video), sound: bytes(media.sound), seconds: media.seconds });
  }
  return excerpts.get(n);
}

function bytes(uri) {
  return Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (character) => character.charCodeAt(0));
}
