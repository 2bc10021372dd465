// Every word of the page in Chinese and English.
const WORDS = {
  "title": ["病历复核", "Record review"], "skip": ["跳到病历", "Skip to the record"], "who": ["复核者", "Reviewer"],
  "legend": ["图例", "Legend"], "help": ["按键", "Keys"], "help-title": ["按键", "Keys"], "find": ["查找与筛选", "Find and filter"],
  "search": ["搜索", "Search"], "search-in": ["编号、原文、值", "id, text, value"], "state": ["复核状态", "Review"], "dept": ["科室", "Department"],
  "field": ["字段", "Field"], "value": ["值", "Value"], "status": ["提及状态", "Mentions"], "low": ["低置信度在前", "Low confidence first"],
  "reset": ["清除", "Clear"], "none": ["没有符合条件的病历。", "No record matches."], "loading": ["正在读取…", "Loading…"], "all": ["全部", "All"],
  "records": ["病历列表", "Records"], "page-back": ["上一页", "Previous page"], "page-on": ["下一页", "Next page"], "acts": ["复核操作", "Review actions"],
  "accept": ["接受", "Accept"], "reject": ["否定", "Reject"], "edit": ["修改", "Edit"], "add": ["补充", "Add"], "undo": ["撤销", "Undo"],
  "done": ["本份签定", "Sign off"], "low-on": ["下一低置信", "Next low"], "cancel": ["取消", "Cancel"], "save": ["保存", "Save"], "close": ["关闭", "Close"],
  "keys-on": ["使用单键快捷键", "Single-key shortcuts"], "device": ["非诊断设备；每个值须由临床人员核对。", "Not a diagnostic device; a clinician checks every value."],
  "text": ["原文", "Text"], "fields": ["字段", "Fields"], "evidence": ["依据", "Evidence"], "confidence": ["置信度", "Confidence"], "decision": ["复核", "Review"],
  "mentions": ["提及清单", "List of mentions"], "missing": ["未提及", "Not mentioned"], "other": ["其他", "Other"], "no-text": ["结果中没有原文。", "The output leaves the text out."],
  "no-values": ["没有字段值。", "No field has a value."], "warning": ["警告", "Warning"], "conflict": ["冲突", "Conflict"], "flag": ["低于复核阈值", "below the review threshold"],
  "prev": ["上一份", "Previous record"], "next": ["下一份", "Next record"], "photo": ["舌象照片", "Tongue photograph"],
  "outline": ["轮廓", "Outline"], "map": ["注意力图", "Map"], "ask": ["选一处提及", "Choose a mention"], "gone": ["照片现在打不开", "The photo cannot be opened now"],
  "looked": ["点原文中的提及，或从列表选择", "Click a mention in the text, or choose one"],
  "not-diagnosis": ["模型看了哪里，不是诊断", "Where the model looked, not a diagnosis"], "attention": ["注意力", "Attention"], "gate": ["门", "gate"],
  "s-all": ["全部", "All"], "s-flagged": ["有待定的低置信值", "Low values undecided"], "s-open": ["未签定", "Not signed off"], "s-touched": ["部分复核", "In part"],
  "s-done": ["已签定", "Signed off"], "s-warned": ["有警告", "With warnings"], "s-conflict": ["图文冲突", "Photo and text differ"],
  "d-accept": ["已接受", "accepted"], "d-reject": ["已否定", "rejected"], "d-edit": ["已修改", "edited"], "d-add": ["已补充", "added"], "d-open": ["待定", "open"],
  "was": ["原为", "was"], "signed": ["已签定", "Signed off"], "values": ["值", "values"], "lowest": ["最低", "lowest"], "row": ["第", "row"],
  "told": ["已签定 {0}/{1} 份 · 低置信已定 {2}/{3}", "{0}/{1} signed off · {2}/{3} low values decided"], "reading": ["正在读取文件 {0}%", "reading the file {0}%"],
  "no-more": ["没有更多低置信值。", "No more low values."], "last-record": ["已是最后一份。", "This is the last record."], "first-record": ["已是第一份。", "This is the first record."],
  "choose-first": ["请先选一个字段或提及。", "Choose a field or a mention first."], "saved": ["已保存：{0}", "Saved: {0}"], "undone": ["已撤销：{0}", "Undone: {0}"],
  "seen-too-little": ["另一位复核者刚刚改过这份病历，已重新读取。", "Another reviewer has just changed this record; it was read again."],
  "failed": ["没有成功：{0}", "Failed: {0}"], "what": ["补充什么", "What to add"], "a-mention": ["提及", "a mention"], "type": ["类型", "Type"],
  "words": ["原文中的依据", "Words of the record"], "words-hint": ["先在原文中选中，或照原文输入", "select them in the text first, or type them as they stand"],
  "not-there": ["原文中没有这些字。", "These words are not in the record."], "needs-words": ["请给出原文中的依据。", "Give the words of the record."],
  "frequency-hint": ["次数：低-高/天数，如 3-4/1", "LOW-HIGH/DAYS, such as 3-4/1"], "several": ["可多选", "several are allowed"], "number-keys": ["数字键选择", "digits choose"],
  "evidence-of": ["字段依据", "evidence of a field"], "hidden": ["不可见字符", "hidden character"],
  "k-record": ["下一份 / 上一份病历", "next / previous record"], "k-low": ["下一个 / 上一个低置信值", "next / previous low value"],
  "k-item": ["下一行 / 上一行（在字段表内）", "next / previous row (within the table)"], "k-add": ["补充漏掉的值或提及（先选中原文）", "add what was missed (select the words first)"],
  "k-find": ["搜索", "search"], "k-low-first": ["低置信度在前", "low confidence first"], "k-done": ["整份签定并到下一份", "sign the record off, go to the next"],
  "own": ["自定义字段", "Own fields"], "k-undo": ["撤销我的上一次决定", "take back my last decision"], "k-help": ["显示本窗口", "show this window"], "k-esc": ["关闭、取消", "close, cancel"],
};
// Words of another page, which may replace some of these.
export const more = words => Object.assign(WORDS, words);

let side = localStorage.getItem("tcmstruct.lang") === "en" ? 1 : 0;

export const t = (key, ...given) => given.reduce((text, one, i) => text.replace(`{${i}}`, one), WORDS[key][side]);
export const lang = () => (side ? "en" : "zh-CN");

export function switchLang() {
  side = 1 - side;
  localStorage.setItem("tcmstruct.lang", side ? "en" : "zh");
}

// Puts the words where the page names them.
export function speak(root = document) {
  document.documentElement.lang = lang();
  for (const one of root.querySelectorAll("[data-w]")) one.textContent = t(one.dataset.w);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
  document.title = `${t("title")} · tcmstruct`;
}
