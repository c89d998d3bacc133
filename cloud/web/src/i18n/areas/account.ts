/** Signing in with more than a password, and one's own account. */

export const account = {
  "proof.totp": ["验证器应用里的 6 位数字", "The 6 digits of the authenticator app"],
  "proof.recovery_code": ["恢复码", "Recovery code"],
  "proof.password": ["密码", "Password"],
  "proof.passkey": ["用通行密钥", "Use a passkey"],
  "proof.submit": ["确认", "Confirm"],
  "proof.wrong": ["不对,请再试一次。", "That is not right; try again."],
  "proof.passkeyFailed": ["没有完成,请再试一次。", "It was not finished; try again."],
  "proof.stepUp": ["请再次确认是您本人", "Confirm that it is you"],
  "proof.stepUpWhy": [
    "签名和紧急查阅前需要再次确认,5 分钟内有效。",
    "Needed before signing and emergencies; holds for 5 minutes.",
  ],
  "proof.secondFactor": ["第二步验证", "Second step"],
  "proof.enrol": [
    "您的机构要求设置第二步验证,请先设置。",
    "Your organisation asks for a second factor; set one up first.",
  ],
  "login.withProvider": ["用 {name} 登录", "Sign in with {name}"],
  "login.providerFailed": [
    "医院账号登录没有成功,请再试一次。",
    "Signing in with the hospital's account failed; try again.",
  ],

  "account.totp": ["验证器应用", "Authenticator app"],
  "account.totpOn": ["已启用", "on"],
  "account.totpBegin": ["设置验证器应用", "Set up an authenticator app"],
  "account.totpScan": [
    "用验证器应用扫码,然后输入它显示的 6 位数字。",
    "Scan it with the app, then type the 6 digits that it shows.",
  ],
  "account.totpCode": ["6 位数字", "6 digits"],
  "account.totpConfirm": ["启用", "Turn on"],
  "account.passkeys": ["通行密钥", "Passkeys"],
  "account.noPasskey": ["还没有通行密钥", "No passkey yet"],
  "account.passkeyTitle": ["给这台设备起个名字", "A name for this machine"],
  "account.passkeyAdd": ["添加通行密钥", "Add a passkey"],
  "account.suspended": [
    "已停用:计数器异常,可能被复制",
    "suspended: its counter went back, it may have been copied",
  ],
  "account.since": ["{time} 添加", "added {time}"],
  "account.remove": ["移除", "Remove"],
  "account.codes": ["恢复码", "Recovery codes"],
  "account.codesOnce": [
    "只显示这一次。每个只能用一次,请抄下并保管好。",
    "Shown this once. Each works once; write them down and keep them safe.",
  ],
  "account.codesSeen": ["已保存", "I have kept them"],
  "account.codesLeft": ["还有 {n} 个恢复码", "{n} recovery codes left"],
  "account.codesRenew": ["换新的恢复码", "New recovery codes"],
  "account.sessions": ["登录的设备", "Sessions"],
  "account.thisSession": ["本机", "this one"],
  "account.seen": ["最近 {time}", "last seen {time}"],
  "account.end": ["退出", "End"],
  "account.endOthers": ["退出其他所有设备", "End all others"],
} as const;
