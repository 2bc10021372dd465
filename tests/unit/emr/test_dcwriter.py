from record_files import read

NS = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def text(words, style=""):
    return f'<Element xsi:type="XString"{f" StyleIndex={chr(34)}{style}{chr(34)}" if style else ""}><Text>{words}</Text></Element>'


def field(name, inner, tag="Name", **others):
    rest = "".join(f"<{key}>{value}</{key}>" for key, value in others.items())
    return f'<Element xsi:type="XInputField"><{tag}>{name}</{tag}>{rest}<XElements>{inner}</XElements></Element>'


END = '<Element xsi:type="XParagraphFlag"/>'


def box(kind, checked, caption):
    return f'<Element xsi:type="{kind}"><Checked>{checked}</Checked><Caption>{caption}</Caption></Element>'


def document(body, header="", tail=""):
    return (f'<?xml version="1.0" encoding="utf-8"?><XTextDocument {NS} EditorVersionString="1.2026"><XElements>'
            f'<Element xsi:type="XTextHeader"><XElements>{header}</XElements></Element>'
            f'<Element xsi:type="XTextBody"><XElements>{body}</XElements></Element>'
            f'<Element xsi:type="XTextFooter"><XElements>{text("第1页")}{END}</XElements></Element></XElements>{tail}</XTextDocument>')


def one(tmp_path, content):
    source, (record,) = read(tmp_path, content)
    assert source.facts.format == "dcwriter"
    return record


def test_titles_fields_and_labels_of_the_header(tmp_path):
    record = one(tmp_path, document(
        text("入院记录") + END + text("主诉：") + field("主诉", text("咳嗽3天。")) + END
        + text("现病史：3天前受凉") + text("后咳嗽。") + END + END + text("初步诊断：咳嗽病") + END,
        header=text("姓名：") + field("姓名", text("甲某")) + text("  住院号：") + field("住院号", text("ZY001")) + END))
    assert record.text == "入院记录\n主诉：咳嗽3天。\n现病史：3天前受凉后咳嗽。"
    assert record.id == "ZY001"
    assert record.extra == {"姓名": "甲某", "初步诊断": "咳嗽病", "页眉": "第1页"}


def test_a_known_field_without_a_printed_title_is_a_section(tmp_path):
    record = one(tmp_path, document(field("主诉", text("咳嗽3天。")) + END + field("XBS", text("受凉后起病。"), "ID") + END))
    assert record.text == "主诉：咳嗽3天。\nXBS：受凉后起病。"


def test_background_words_and_struck_text_are_not_read(tmp_path):
    styles = ("<ContentStyles><Styles><Style Index='0'><FontSize>12</FontSize></Style>"
              "<Style Index='1'><DeleterIndex>0</DeleterIndex></Style>"
              "<Style Index='2'><DeleterIndex>-1</DeleterIndex></Style></Styles></ContentStyles>")
    record = one(tmp_path, document(
        text("主诉：咳嗽", "0") + text("5天", "1") + text("3天。", "2") + END + text("既往史：")
        + field("x", "", BackgroundText="请输入既往史", ToolTip="提示") + END
        + text("现病史：") + field("y", "", InnerValue="受凉后起病。", BackgroundText="请输入") + END, tail=styles))
    assert record.text == "主诉：咳嗽3天。\n现病史：受凉后起病。"


def test_boxes_tables_and_many_documents(tmp_path):
    cells = "".join(f'<Element xsi:type="XTextTableCell"><XElements>{text(words)}{END}</XElements></Element>' for words in ("T", "36.5℃"))
    table = ('<Element xsi:type="XTextTable"><XElements><Element xsi:type="XTextTableRow"><XElements>' + cells
             + "</XElements></Element></XElements></Element>")
    body = (text("主诉：咳嗽3天。") + END + text("体格检查：") + END + table + text("口渴：") + box("XTextCheckBox", "true", "有")
            + box("XTextCheckBox", "false", "无") + END)
    content = document(body)
    record = one(tmp_path, content)
    assert record.text == "主诉：咳嗽3天。\n体格检查：T\t36.5℃\n口渴：有"
    _, items = read(tmp_path, "<all>" + content.partition("?>")[2] * 3 + "</all>")
    assert [item.text for item in items] == [record.text] * 3


def test_a_document_of_nothing_is_a_reject(tmp_path):
    assert one(tmp_path, document("")).code == "text_missing"


def test_tabs_without_a_line_end_are_passed_over_once(tmp_path):
    record = one(tmp_path, document(text("主诉：咳嗽3天。" + "\t" * 300_000 + "加重。")))
    assert record.text.startswith("主诉：咳嗽3天。\t") and record.text.endswith("\t加重。")
