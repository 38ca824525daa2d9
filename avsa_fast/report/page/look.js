"use strict";
// The 360° view: one Pannellum viewer at a time. Its panorama is a canvas with the film, or the still frame and the maps
// shown over it.

const around = {
  viewer: null, stage: null,

  open(stage) {
    this.close();
    const box = stage.querySelector(".around");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [1024, 512];
    Object.assign(this, { stage, canvas, box });
    stage.classList.add("looking");
    box.hidden = false;
    this.draw();
    const spots = JSON.parse(stage.querySelector("[data-layer=boxes]").dataset.spots);
    this.viewer = pannellum.viewer(box, {
      type: "equirectangular", panorama: canvas, dynamic: true, dynamicUpdate: true, yaw: -(spots[0]?.azimuth ?? 0), autoLoad: true, hfov: 95,
      showZoomCtrl: false, showFullscreenCtrl: true, keyboardZoom: true, compass: false,
      hotSpots: spots.map((box) => ({
        pitch: box.elevation, yaw: -box.azimuth, cssClass: "spot",
        createTooltipFunc: (element) => { element.textContent = box.label; },
      })),
    });
    box.setAttribute("role", "application");
    box.setAttribute("aria-label", "360° view. Arrow keys rotate it, plus and minus zoom.");
    box.focus({ preventScroll: true });
    stage.scrollIntoView({ block: "nearest" });
  },

  close() {
    if (!this.viewer) return;
    this.viewer.destroy();
    this.box.hidden = true;
    this.box.replaceChildren();
    this.stage.classList.remove("looking");
    Object.assign(this, { viewer: null, stage: null });
  },

  /** Draws the panorama: the film while it plays, else the still frame and the visible layers. */
  draw() {
    const [pen, { width, height }] = [this.canvas.getContext("2d"), this.canvas];
    const film = this.stage.querySelector(".film");
    const playing = this.stage.classList.contains("playing") && film.readyState >= 2;
    pen.drawImage(playing ? film : this.stage.querySelector(".still"), 0, 0, width, height);
    if (!playing) {
      for (const layer of this.stage.querySelectorAll("img.layer:not([hidden])")) pen.drawImage(layer, 0, 0, width, height);
    }
  },

  /** Direction of the view in radians, azimuth to the left. */
  direction() {
    if (!this.viewer) return [0, 0];
    return [-this.viewer.getYaw() * Math.PI / 180, this.viewer.getPitch() * Math.PI / 180];
  },

  rotate(azimuth, elevation) { this.viewer?.lookAt(elevation, -azimuth, undefined, 600); },
};
