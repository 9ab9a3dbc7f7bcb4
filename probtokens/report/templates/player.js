function player(frames) {
  const image = document.getElementById("frame");
  const slider = document.getElementById("slider");
  const button = document.getElementById("play");
  const hold = 6;
  let timer = null;
  let waited = 0;
  function show(index) {
    slider.value = index;
    image.src = "data:image/webp;base64," + frames[index];
  }
  function step() {
    const last = frames.length - 1;
    if (Number(slider.value) === last && waited < hold) {
      waited += 1;
      return;
    }
    waited = 0;
    show(Number(slider.value) === last ? 0 : Number(slider.value) + 1);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  function start() {
    timer = setInterval(step, 160);
    button.textContent = "Pause";
  }
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (timer === null ? start() : stop()));
  show(0);
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) { stop(); } else { start(); }
}
