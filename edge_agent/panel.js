"use strict";
// Shows /api/state once a second; every text is set as text, never as markup.

const CAUSES = {
  sensor_off: "传感器脱落 sensor off", sensor_fault: "传感器故障 sensor fault", searching: "未找到脉搏 searching", demo_mode: "设备演示模式 demo mode",
  battery: "电量不足 battery", out_of_range: "蓝牙离开范围 out of range", cable: "线缆断开 cable",
  device_silent: "设备无输出 device silent", agent_off: "代理曾停止 agent was off",
};

const FAULTS = {
  out_of_range: "离开范围", silent: "不再发送", low_battery: "电量不足", electrodes_off: "电极脱落", noise: "噪声",
  cuff_error: "袖带错误", movement: "身体移动", finger_out: "手指移出", low_perfusion: "灌注低", demo_flag: "演示标志",
};

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fill(id, children, empty) {
  const place = document.getElementById(id);
  place.replaceChildren(...(children.length ? children : [element("p", empty)]));
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.ok) show(await answer.json());
}

function button(text, pressed, onPress) {
  const made = element("button", text);
  made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", onPress);
  return made;
}

function age(microseconds) {
  return microseconds === null ? "–" : `${Math.max(0, Math.round(Date.now() / 1000 - microseconds / 1e6))} s`;
}

function sessionCard(session, simulators) {
  const card = element("div", undefined, "card");
  const head = element("div", undefined, "row");
  head.append(
    element("strong", `${session.bed ? session.bed + " 床 · " : ""}${session.title_zh} ${session.title_en}`),
    element("span", session.is_linked ? "已连接 linked" : "未连接 not linked", session.is_linked ? "ok" : "bad"),
    element("code", session.src),
    element("small", `${session.frames} 帧 frames · 最近 last ${age(session.last_frame_us)}`),
  );
  card.append(head);
  if (session.last_error) card.append(element("small", session.last_error));
  const simulated = (simulators ?? []).find((item) => item.place === session.place);
  if (simulated) {
    const row = element("div", undefined, "row");
    for (const fault of simulated.faults) {
      const on = simulated.active.includes(fault);
      row.append(button(`${FAULTS[fault] ?? ""} ${fault.replaceAll("_", " ")}`, on, () => post("/api/faults", { device: simulated.name, fault, on: !on })));
    }
    card.append(element("small", `模拟设备,回放 simulated, replays ${simulated.record} @ ${simulated.seconds.toFixed(0)} s`), row);
  }
  return card;
}

function waitingText(spool) {
  const used = `${(spool.used_bytes / 1e6).toFixed(1)} / ${(spool.limit_bytes / 1e6).toFixed(0)} MB`;
  if (spool.oldest_ms === null) return `${spool.messages} · ${used}`;
  const age = Math.max(0, Math.round((Date.now() - spool.oldest_ms) / 1000));
  return `${spool.messages} · ${used} · 最早 oldest ${age} s`;
}

function showMembership(identity) {
  const place = document.getElementById("membership");
  const ends = identity.ends_at === null ? null : new Date(identity.ends_at);
  const isOver = ends !== null && ends <= new Date();
  const day = ends === null ? "" : ends.toLocaleDateString("sv-SE");
  if (!identity.enrolled) place.textContent = "尚未加入:请向管理员要注册码 Not a member yet: ask an administrator for a code";
  else if (isOver) place.textContent = `证书已于 ${day} 到期,需要新的注册码 The certificate ended on ${day}: a new code is needed`;
  else place.textContent = `已加入,证书有效至 ${day} Member, the certificate holds until ${day}`;
  place.className = identity.enrolled && !isOver ? "ok" : "bad";
  const problem = document.getElementById("membership-problem");
  problem.hidden = identity.problem === null;
  problem.textContent = identity.problem === null ? "" : `问题 Problem: ${identity.problem}`;
}

async function enrol(event) {
  event.preventDefault();
  const form = event.target, said = document.getElementById("enrol-answer"), press = form.querySelector("button");
  press.disabled = true;
  said.className = "";
  said.textContent = "正在加入… Joining…";
  try {
    const answer = await fetch("/api/enrol", {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ invitation: form.elements.invitation.value }),
    });
    const told = await answer.json();
    said.className = answer.ok ? "ok" : "bad";
    said.textContent = answer.ok ? "已加入 Joined" : `未能加入 Not joined: ${told.error}`;
    if (answer.ok) {
      form.reset(); // the code opens once: it is of no use to who looks over the shoulder, and none here
      show(told);
    }
  } catch {
    said.className = "bad";
    said.textContent = "代理没有应答 The agent does not answer";
  } finally {
    press.disabled = false;
  }
}

function show(state) {
  document.getElementById("name").textContent = state.agent;
  showMembership(state.identity);
  const link = state.uplink.cut ? "上行已切断 uplink cut" : state.uplink.connected ? "上行正常 uplink up" : "上行中断 uplink down";
  fill("summary", [
    element("span", link, state.uplink.connected ? "ok" : "bad"),
    element("span", `待确认 waiting: ${waitingText(state.spool)}`),
    element("span", `时钟 clock: ${state.clock.src}`),
    button(state.uplink.cut ? "恢复上行 restore uplink" : "切断上行 cut uplink", state.uplink.cut,
      () => post("/api/link", { on: state.uplink.cut })),
    ...(state.radio_error ? [element("span", state.radio_error, "bad")] : []),
  ]);
  fill("registrations", state.identity.registrations.map((one) => {
    const row = element("div", undefined, "row");
    const who = one.name || "无名氏 unknown person";
    if (one.refused === null) row.append(element("span", `${who}: 等待云端 waiting for the cloud`));
    else row.append(element("span", `${who}: 云端拒绝,请更正后重新登记 The cloud refuses, register anew: ${one.refused}`, "bad"),
      button("移除 remove", false, () => post("/api/registrations/remove", { registration: one.registration })));
    return row;
  }), "没有 none");
  fill("sessions", state.sessions.map((session) => sessionCard(session, state.simulators)), "还没有设备 no device yet");
  fill("found", state.found.map((heard) => {
    const row = element("div", undefined, "row");
    row.append(element("span", `${heard.name ?? heard.address} (${heard.rssi_dbm} dBm)`),
      button("接入 adopt", false, () => post("/api/adopt", { address: heard.address })));
    return row;
  }), "没有新设备 nothing new");
  fill("gaps", state.gaps.map((gap) => {
    const session = state.sessions.find((item) => item.src === gap.src);
    const keys = gap.keys.length ? ` (${gap.keys.join(", ")})` : "";
    return element("p", `${session ? session.bed + " " + session.title_zh : gap.src}${keys}: ${CAUSES[gap.cause] ?? gap.cause}, ${gap.since}`);
  }), "没有 none");
  fill("rejected", state.rejected.map((item) => element("p", `${item.src} ${item.channel}: ${item.reason}`)), "没有 none");
}

async function refresh() {
  const notice = document.getElementById("silence");
  try {
    show(await (await fetch("/api/state", { cache: "no-store" })).json());
    notice.hidden = true;
  } catch {
    notice.hidden = false;
  }
}

document.getElementById("enrol").addEventListener("submit", enrol);
refresh();
setInterval(refresh, 1000);
