"use strict";
// Actions of the page's buttons.

const card = (n) => document.querySelector(`.clip[data-clip="${n}"]`);
const radians = (degrees) => degrees * Math.PI / 180;

function stop() {
  player.stop();
  for (const stage of document.querySelectorAll(".stage.playing")) {
    stage.classList.remove("playing");
    const film = stage.querySelector(".film");
    film.pause();
    film.hidden = true;
    const button = stage.parentElement.querySelector("[data-do=play]");
    button.setAttribute("aria-pressed", "false");
    button.innerHTML = '<span aria-hidden="true">▶</span> Play';
  }
  document.querySelectorAll("button.on").forEach((button) => button.classList.remove("on"));
}

/** Plays a clip; with `view`, the beam towards it and no film. */
async function start(n, view, button) {
  stop();
  const stage = card(n).querySelector(".stage");
  if (view) {
    button.classList.add("on");
    await player.play(n, radians(view.dataset.azimuth), radians(view.dataset.elevation), true);
    return;
  }
  await player.play(n, ...(around.stage === stage ? around.direction() : [0, 0]));
  const film = stage.querySelector(".film");
  film.src = excerpt(n).video;
  film.hidden = false;
  stage.classList.add("playing");
  button.setAttribute("aria-pressed", "true");
  button.innerHTML = '<span aria-hidden="true">■</span> Stop';
  await film.play().catch(() => {}); // a browser without H.264 still plays the sound over the still frame
}

const actions = {
  play(clip, button) {
    if (button.getAttribute("aria-pressed") === "true") return stop();
    return start(clip.dataset.clip, null, button);
  },
  look(clip, button) {
    const stage = clip.querySelector(".stage");
    const opening = around.stage !== stage;
    around.close();
    document.querySelectorAll("[data-do=look]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    if (opening) around.open(stage);
    button.setAttribute("aria-pressed", String(opening));
    clip.querySelector(".hint").textContent = opening ? "Drag, or arrow keys" : "";
  },
  hear(clip, button) {
    const view = button.closest(".view");
    if (button.classList.contains("on")) return stop();
    if (around.stage === clip.querySelector(".stage")) around.rotate(+view.dataset.azimuth, +view.dataset.elevation);
    return start(clip.dataset.clip, view, button);
  },
  heat(clip, button) {
    const showing = button.getAttribute("aria-pressed") === "true";
    const { view } = button.closest(".view").dataset;
    clip.querySelectorAll("[data-do=heat]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    clip.querySelectorAll("[data-layer=match]").forEach((layer) => { layer.hidden = showing || layer.dataset.view !== view; });
    button.setAttribute("aria-pressed", String(!showing));
    const energy = clip.querySelector("[data-show=energy]");
    if (energy && !showing) { energy.checked = false; clip.querySelector("[data-layer=energy]").hidden = true; }
    clip.querySelector(".stage").scrollIntoView({ block: "nearest" });
    redraw();
  },
  near(clip, button) {
    if (button.classList.contains("on")) return stop();
    const view = card(button.dataset.clip).querySelector(`.view[data-view="${button.dataset.view}"]`);
    return start(button.dataset.clip, view, button);
  },
};

function redraw() {
  if (around.viewer) { around.draw(); around.viewer.setUpdate(true); }
}

/** While a clip plays: rotates the sound with the view, and keeps the film in time with the sound. */
function follow() {
  requestAnimationFrame(follow);
  const stage = document.querySelector(".stage.playing");
  if (!stage || player.clip === null) return;
  if (around.stage === stage) { player.look(...around.direction()); around.draw(); }
  const film = stage.querySelector(".film");
  if (film.readyState >= 2 && Math.abs(film.currentTime - player.time()) > 0.15) film.currentTime = player.time();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) actions[button.dataset.do](button.closest(".clip"), button);
});
document.addEventListener("change", (event) => {
  const { show } = event.target.dataset;
  if (!show) return;
  event.target.closest(".clip").querySelector(`[data-layer=${show}]`).hidden = !event.target.checked;
  redraw();
});
for (const image of document.querySelectorAll("img[data-crop]")) {
  const [n, view] = image.dataset.crop.split("-");
  image.src = card(n).querySelector(`.view[data-view="${view}"] img`).src;
}
requestAnimationFrame(follow);
