"""The recognisers: every form is found at its place, and what is nobody's is left alone."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pii.patterns import announced, find
from pii.patterns.labels import table
from pii.patterns.match import Match, resolve
from pii.spans import Span
from pii.taxonomy import shipped

ALL_TYPES = [type.name for type in shipped()]


def found(text, types=None):
    return [(m.span.type, m.span.value(text)) for m in find(text, types)]


# Each form of each value: [value], the type, and what stands around it in the brackets' place.
FORMS = [
    ("PHONE_NUMBER", "我叫张三，电话[13800138000]"),
    ("PHONE_NUMBER", "打[138-0013-8000]找他"),
    ("PHONE_NUMBER", "打[138 0013 8000]找他"),
    ("PHONE_NUMBER", "打[138.0013.8000]找他"),
    ("PHONE_NUMBER", "打[+86-138-0013-8000]找他"),
    ("PHONE_NUMBER", "打[+8613800138000]找他"),
    ("PHONE_NUMBER", "打[0086 138 0013 8000]找他"),
    ("PHONE_NUMBER", "打[（86）13800138000]找他"),
    ("PHONE_NUMBER", "打[１３８００１３８０００]找他"),
    ("PHONE_NUMBER", "打[１３８－００１３－８０００]找他"),
    ("PHONE_NUMBER", "打[一三八零零一三八零零零]找他"),
    ("PHONE_NUMBER", "打[138\u200b0013\u200b8000]找他"),
    ("PHONE_NUMBER", "打[138‑0013‑8000]找他"),
    ("PHONE_NUMBER", "打[1380013\n8000]找他"),
    ("PHONE_NUMBER", "手机：[138****8000]"),
    ("PHONE_NUMBER", "手机尾号见[138 **** 8000]，电话同"),
    ("PHONE_NUMBER", "座机[010-62551234]转接"),
    ("PHONE_NUMBER", "请拨[(0755) 8621 1234]"),
    ("PHONE_NUMBER", "请拨[010-62551234转801]"),
    ("PHONE_NUMBER", "Call [(650) 253-0000] now"),
    ("PHONE_NUMBER", "Call [+1-650-253-0000 x12] now"),
    ("PHONE_NUMBER", "Ring [+44 20 7946 0958] now"),
    ("PHONE_NUMBER", "My phone number is [555-0134]."),
    ("EMAIL_ADDRESS", "邮箱是[zhang.san@163.com]请查收"),
    ("EMAIL_ADDRESS", "<[a.b+c@mail.example.co.uk]>"),
    ("EMAIL_ADDRESS", "发到[ｚｈａｎｇ＠ｑｑ．ｃｏｍ]吧"),
    ("NATIONAL_ID_NUMBER", "身份证[11010519491231002X]已核"),
    ("NATIONAL_ID_NUMBER", "证件 [110105 19491231 002x]。"),
    ("NATIONAL_ID_NUMBER", "他的[１１０１０５１９４９１２３１００２Ｘ]"),
    ("NATIONAL_ID_NUMBER", "身份证号：[110105491231002]"),
    ("NATIONAL_ID_NUMBER", "身份证号：[110105********002X]"),
    ("NATIONAL_ID_NUMBER", "香港身份证[A123456(3)]有效"),
    ("NATIONAL_ID_NUMBER", "身份證字號[A123456789]"),
    ("NATIONAL_ID_NUMBER", "SSN: [219-09-9998]"),
    ("PASSPORT_NUMBER", "护照号码为[E12345678]。"),
    ("PASSPORT_NUMBER", "Passport No. [X1234567]"),
    ("PASSPORT_NUMBER", "港澳通行证：[C12345678]"),
    ("DRIVER_LICENSE_NUMBER", "驾驶证号[11010519491231002X]"),
    ("DRIVER_LICENSE_NUMBER", "driver's license [D1234567]"),
    ("SOCIAL_INSURANCE_NUMBER", "社保卡号：[11010519491231002X]"),
    ("SOCIAL_INSURANCE_NUMBER", "National insurance number [AB 12 34 56 C]"),
    ("TAX_ID_NUMBER", "ITIN [912-90-3456]"),
    ("BANK_CARD_NUMBER", "卡[6200 0000 0000 0005]到账"),
    ("BANK_CARD_NUMBER", "卡[6200-0000-0000-0005]到账"),
    ("BANK_CARD_NUMBER", "pay with [4242424242424242] please"),
    ("BANK_CARD_NUMBER", "银行卡号：[6200 **** **** 0005]"),
    ("BANK_ACCOUNT_NUMBER", "IBAN [GB82 WEST 1234 5698 7654 32] is mine"),
    ("BANK_ACCOUNT_NUMBER", "收款账号：[1234567890123]"),
    ("PAYMENT_ACCOUNT", "转到[1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa]谢谢"),
    ("PAYMENT_ACCOUNT", "支付宝账号：[zhangsan@163.com]"),
    ("VEHICLE_PLATE_NUMBER", "车牌[京A12345]违停"),
    ("VEHICLE_PLATE_NUMBER", "一辆[粤B·D12345]停着"),
    ("VEHICLE_ID_NUMBER", "车架号[1M8GDM9AXKP042788]"),
    ("USERNAME", "用户名：[zhang_san]"),
    ("USERNAME", "username = '[jdoe]'"),
    ("WECHAT_ID", "微信号：[abc_123456]"),
    ("WECHAT_ID", "加我VX:[zhangsan]"),
    ("QQ_NUMBER", "我的QQ是[12345678]"),
    ("QQ_NUMBER", "QQ[１２３４５６７８]"),
    ("IP_ADDRESS", "来自[10.20.30.40]的请求"),
    ("IP_ADDRESS", "地址[2001:db8::8a2e:370:7334]已封"),
    ("DEVICE_ID", "IMEI：[490154203237518]"),
    ("DEVICE_ID", "mac [00:00:5e:00:53:af]"),
    ("GEO_COORDINATE", "在[39.9042, 116.4074]附近"),
    ("GEO_COORDINATE", "位于[北纬39.9度，东经116.4度]"),
    ("DATE_OF_BIRTH", "出生日期：[1990年3月7日]"),
    ("DATE_OF_BIRTH", "他[1990年3月7日]出生"),
    ("DATE_OF_BIRTH", "My DOB is [March 7, 1990]"),
    ("DATE_OF_BIRTH", "DOB: [03/07/1990]"),
    ("MEMBER_ID", "工号[A00123]"),
    ("MEMBER_ID", "学号：[2021010203]"),
    ("MEMBER_ID", "Employee ID: [E-10293]"),
    ("MEDICAL_RECORD_NUMBER", "病历号：[MZ20240001]"),
    ("MEDICAL_RECORD_NUMBER", "MRN: [00123456]"),
    ("CREDENTIAL", "密码是[Abc@1234]。"),
    ("CREDENTIAL", "[384756]（登录验证码），请勿告诉他人"),
    ("PHONE_NUMBER", "[555-0134] (phone)"),
    ("MEMBER_ID", "系统里的[A00123]（工号）"),
    ("CREDENTIAL", "验证码 [482913]，五分钟内有效"),
    ("CREDENTIAL", "password: [hunter2!]"),
    ("CREDENTIAL", "api_key=[k3y_9f8e7d6c5b4a]"),
    ("CREDENTIAL", "看 [AKIAIOSFODNN7EXAMPLE] 泄漏了"),
    ("PERSON_NAME", "姓名：[张三]"),
    ("PERSON_NAME", "收件人：[欧阳小明]，"),
    ("PERSON_NAME", "患者[李芳]因头痛就诊"),
    ("PERSON_NAME", "我叫[张三]，住北京"),
    ("PERSON_NAME", "请联系[刘伟]先生"),
    ("PERSON_NAME", "姓名：[阿依古丽·买买提]，"),
    ("PERSON_NAME", "Name: [John Smith]"),
    ("PERSON_NAME", "Dear Mr. [Smith],"),
    ("PERSON_NAME", "[王小明] 13800138000"),
    ("ADDRESS", "收货地址：[北京市朝阳区建国路88号3单元502室]"),
    ("ADDRESS", "他住在[浙江省杭州市西湖区文三路138号]，"),
    ("ADDRESS", "寄到[上海市浦东新区世纪大道100号12楼]。"),
    ("ADDRESS", "现住[济南市历下区和平路47号2号楼]"),
    ("ADDRESS", "地址：[人民路100号]"),
    ("ADDRESS", "at [123 Main Street, Springfield, IL 62704] since"),
    ("ADDRESS", "居民反映[杭州市西湖区文三路5号]附近有噪音"),
    ("ADDRESS", "租客已搬离[南京市鼓楼区中山路18号]，"),
    ("ADDRESS", "集合地点[昌黎县碣石路6号]"),
    ("ADDRESS", "寄往[河北省唐山市建设路h座]。"),
    ("ADDRESS", "at [7064 Dewdney Avenue, Mississauga L0P 1B0]."),
    ("EMAIL_ADDRESS", "Email: [秀英.胡79@example.net]"),
    ("PASSPORT_NUMBER", "持[E12345678]号护照入境"),
    ("BANK_CARD_NUMBER", "转到账号[6222021234567890128]"),
    ("VEHICLE_PLATE_NUMBER", "司机开着[粤B0KSYZ]走了"),
    ("MEMBER_ID", "asked [EMP-34888] to come"),
    ("MEDICAL_RECORD_NUMBER", "(ID: [MRN-7605892])"),
    ("USERNAME", "CREATE USER '[admin_4532]'@'10.1.2.3'"),
    ("CREDENTIAL", "IDENTIFIED BY '[q5gON5W6d]';"),
    ("PERSON_NAME", "她叫[沈淑英]，"),
    ("PERSON_NAME", '{"收件人":"[夏侯怡]","数量":2}'),
    ("PERSON_NAME", '{"realName": "[刘筠]"}'),
    ("PERSON_NAME", '{"fullName": "[marcus lee]", "age": 3}'),
    ("PERSON_NAME", "<contact_name>[邱黎仙]</contact_name>"),
    ("PERSON_NAME", "<Contact-Name>[KATE WALKER]</Contact-Name>"),
    ("PERSON_NAME", "姓名：[John Smith]，男"),
    ("PERSON_NAME", "| 序 | 姓名 | 备注 |\n|---|:-:|---|\n| a | 王芳 | 无 |\n| b | [欧阳修文] | 无 |"),
    ("PERSON_NAME", "name,phone\r\nann lee,-\r\n[mary ann smith],-\r\n"),
    ("ADDRESS", "现住[南京市六合区凤凰西路378号华润橡树湾19-4-2404]"),
    ("ADDRESS", "寄到[淮南市田家庵区金桥西路519号龙湖天街35栋904]，谢谢"),
    ("ADDRESS", "lives in [Unit 9, Building 3, 180 Wenhua Avenue, Jianghan District, Wuhan 652680] now"),
    ("ADDRESS", "at [Flat B, 21/F, Block 8, 133 Queen Road East, Tuen Mun] since"),
    ("ADDRESS", "<HomeAddress>[港口区南路479号2楼]</HomeAddress>"),
    ("ADDRESS", '{"detail_address": "[翡翠湾31栋603]"}'),
    ("ADDRESS", 'name;address\nAnn;"[7 Rue du Moulin; 3e, Lille]"'),
    ("BANK_ACCOUNT_NUMBER", "id\t客户\t账号\n1\tA\t[73921846]"),
    ("CREDENTIAL", "card  cvc  full name\n4111111111111111  [737]  Ann Lee\n"),
    ("CREDENTIAL", "  cvv    姓名\n  [8458]   张三"),
    ("CREDENTIAL", "INSERT INTO cards (order_no, cvc) VALUES ('A1', '[737]'), ('A,2', '901');"),
    ("PERSON_NAME", "insert into t (id, full_name)\nvalues (7, '[Ann O''Neil]')"),
    ("USERNAME", "user_name | state\n--- | ---\nanna_k | on\n[bob.22] | off"),
    ("PERSON_NAME", "指导教师[何秀珍]。"),
    ("PERSON_NAME", "// Author: [Emily Taylor] <"),
    ("DATE_TIME", "[2020-09-13T04:47:00Z] started"),
    ("DATE_TIME", "at [2020-09-13 04:47:00.123 +0800], stopped"),
]


@pytest.mark.parametrize(("type", "marked"), FORMS)
def test_every_form_is_found_at_its_place(type, marked):
    start, end = marked.index("["), marked.index("]") - 1
    text = marked.replace("[", "", 1).replace("]", "", 1)
    spans = {(m.span.start, m.span.end, m.span.type) for m in find(text, ALL_TYPES)}
    assert (start, end, type) in spans


NOBODYS = [
    "订单号：13800138000",
    "快递单号 13800138000123",
    "ISBN 978-7-111-54742-6",
    "版本 1.2.3.4 已发布",
    "version 10.2.33.4 of the firmware",
    "时间戳1700000000，毫秒1700000000000",
    "总价12345678.90元",
    "客服热线400-123-4567",
    "请拨打95588或10086",
    "拨打110报警",
    "流水号20240101123045678901",
    "圆周率3.14159265358979323846",
    "1 3 5 7 9 11 13 15 17 19 21",
    "9913800138000123",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "git clone git@github.com:torvalds/linux.git",
    "smtp.send(to='user@example.com')",
    "import numpy as np; np.zeros((1024, 768))",
    "编号G12345678的订单",
    "the password is required",
    "password: string",
    '<input id="password" name="password" width="20"/>',
    '<label for="password">Password:</label><br>',
    "EMPLOY-12345 and risk-free-investments-for-everyone",
    "员工周五可以在家工作",
    "路由器的地址通常是192.168.1.1",
    "Username: required",
    "微信支付和微信群都可以",
    "QQ群很热闹",
    "患者因头痛入院",
    "客户投诉了三次",
    "联系人信息不完整",
    "姓名：不详",
    "我叫了一辆车",
    "我们公司总经理去了北京路步行街",
    "第88号决议通过",
    "Name: Required field",
    "netmask 255.255.255.0 on 127.0.0.1",
    "C++ std::vector a::b",
    "12:30:45 to 13:45:00",
    "2024-01-01 12:00:00 INFO started in 1234 ms",
    "新A股指数上涨2.5%",
    "人口为13800138人",
    "村里一座桥通车了",
    "service_name: LexCorp",
    '<employer name="Hooli Technologies"/>',
    "川ABCDEF",
    '{"name": "react dom", "version": "18.2"}',
    "name, version\nreact dom, beta",
    "姓名,电话\n不详,无\n",
    "Guest: Good evening to all",
    '{"address": "see the attached list"}',
    "name;city;x\nNone;Bern;y\n",
    "| Name | Initech Solutions |\n| Org | Acme |",
    "name,account\n\nAnn Lee,73921846\n",
    "The name  of  it\nAnn Lee  in  it\n",
    "(order_no, cvc) VALUES ('A1'), ('737')",
]


@pytest.mark.parametrize("text", NOBODYS)
def test_what_is_nobodys_is_left_alone(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("before", "types"),
    [
        ("订单号：", ("NOT_PERSONAL",)),
        ('{"waybill": "', ("NOT_PERSONAL",)),
        ("<sfzh>", ("NATIONAL_ID_NUMBER",)),
        ("我的手机号是", ("PHONE_NUMBER",)),
        ("Ｎａｍｅ： ", ("PERSON_NAME",)),
        ("订单号13800138000，", ()),
        ("name, order\n", ()),
        ("We met ", ()),
        ("", ()),
    ],
)
def test_a_label_announces_what_stands_right_behind_it(before, types):
    assert announced(f"{before}73921846", len(before)) == types


def test_the_seed_text():
    text = "我叫张三，电话13800138000"
    assert [(m.span.start, m.span.end) for m in find(text)] == [(2, 4), (7, 18)]


def test_a_label_decides_between_types():
    assert found("QQ：13800138000") == [("QQ_NUMBER", "13800138000")]
    assert found("学号：13800138000") == [("MEMBER_ID", "13800138000")]
    assert found("手机：13800138000") == [("PHONE_NUMBER", "13800138000")]


def test_evidence_and_subtype():
    (match,) = find("号码 11010519491231002X")
    assert (match.evidence, match.span.subtype) == ("checksum", "cn_resident_id")
    (match,) = find("手机 13800138000")
    assert match.evidence == "context"
    (match,) = find("(13800138000)")
    assert (match.evidence, match.span.source, match.rule) == ("shape", "pattern", "cn_mobile")


def test_a_failing_check_digit_behind_a_label_is_still_personal():
    (match,) = find("身份证号：110105194912310021")
    assert (match.span.type, match.evidence) == ("NATIONAL_ID_NUMBER", "context")


def test_types_not_asked_for_are_not_reported_and_leave_nothing_to_others():
    text = "驾驶证号11010519491231002X，电话13800138000"
    assert found(text, ["PHONE_NUMBER"]) == [("PHONE_NUMBER", "13800138000")]
    assert found(text, ["NATIONAL_ID_NUMBER"]) == []


def test_optional_types_only_where_named():
    text = "见 https://example.org/a?b=1，2024年5月1日"
    assert found(text) == []
    assert found(text, ["URL", "DATE_TIME"]) == [
        ("URL", "https://example.org/a?b=1"),
        ("DATE_TIME", "2024年5月1日"),
    ]


def test_the_rule_for_overlaps():
    def match(start, end, evidence):
        return Match(Span(start, end, "QQ_NUMBER"), evidence, "rule")

    checksum, context, shape = match(5, 8, "checksum"), match(0, 6, "context"), match(7, 20, "shape")
    assert resolve([shape, context, checksum]) == [checksum]
    longer, shorter = match(0, 6, "shape"), match(4, 8, "shape")
    assert resolve([shorter, longer]) == [longer]
    earlier, later = match(0, 4, "shape"), match(3, 7, "shape")
    assert resolve([later, earlier]) == [earlier]


def test_labels_announce_types_of_the_taxonomy():
    announced = {type for types in table().values() for type in types}
    assert announced - {"NOT_PERSONAL"} <= set(ALL_TYPES)


# --- invariants -------------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        *(
            "13800138000",
            "11010519491231002X",
            "6200 0000 0000 0005",
            "a@b.cn",
            "京A12345",
            "１２３",
            "一三八",
        ),
        *(
            "微信：",
            "密码是",
            "身份证",
            "姓名：",
            "张三",
            "Name: ",
            "John",
            "电话",
            "QQ",
            "北京市朝阳区建国路88号",
        ),
        *(
            "+86",
            "(",
            "-",
            "*",
            " ",
            "\n",
            "\u200b",
            "号",
            "°",
            "İ",
            "ß",
            "\U0001f600",
            "-----BEGIN ",
            "sk-",
            "eyJ",
        ),
    ]
)
ANY_TEXT = st.text(max_size=80) | st.lists(FRAGMENTS, max_size=12).map("".join)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_find_never_raises_and_its_spans_are_sound(text):
    matches = find(text, ALL_TYPES)
    end = 0
    for match in matches:
        assert match.span.start >= end
        end = match.span.end
    assert end <= len(text)
    assert find(text, ALL_TYPES) == matches


def test_lone_surrogates_do_not_stop_it():
    assert found("\ud800电话13800138000\udfff") == [("PHONE_NUMBER", "13800138000")]


PLANTED = {
    "PHONE_NUMBER": "13800138000",
    "NATIONAL_ID_NUMBER": "11010519491231002X",
    "EMAIL_ADDRESS": "zhang.san@163.com",
    "BANK_CARD_NUMBER": "6200000000000005",
}
HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=30)


@given(st.sampled_from(sorted(PLANTED)), HAN, HAN)
@example("BANK_CARD_NUMBER", "", "一一一一一")
@example("PHONE_NUMBER", "一二三四五", "")
@settings(max_examples=300, deadline=None)
def test_a_valid_identifier_is_found_between_any_chinese_characters(type, before, after):
    # A label may stand in the random text and decide another type: the place has to be found in any case.
    value = PLANTED[type]
    text = before + value + after
    assert any(
        m.span.start <= len(before) and m.span.end >= len(before) + len(value) for m in find(text, ALL_TYPES)
    )


FILLER = "今天天气很好，我们去公园散步。The weather is fine today; nothing to see here.\n"


def _missed(positions, value="13800138000"):
    filler = (FILLER * 400)[:20_000]
    missed = []
    for position in positions:
        # Not inside an English word or a number, where it would be part of another token.
        if any(c.isascii() and c.isalnum() for c in filler[max(0, position - 1) : position + 1]):
            continue
        text = filler[:position] + value + filler[position:]
        spans = [(m.span.start, m.span.end) for m in find(text)]
        if spans != [(position, position + len(value))]:
            missed.append(position)
    return missed


def test_a_planted_number_is_found_along_a_long_text():
    assert _missed(range(0, 20_001, 397)) == []


def test_a_title_before_a_name_with_a_dot_is_no_end_of_it():
    assert [(m.span.start, m.span.type) for m in find("司机医生古丽·买买提。")] == [(2, "PERSON_NAME")]


@pytest.mark.slow
def test_a_planted_number_is_found_at_every_position():
    assert _missed(range(20_001)) == []


HOSTILE = {
    "digits": "1" * 1_000_000,
    "mobiles": "13800138000" * 90_000,
    "spaced digits": "1 " * 500_000,
    "letters": "a" * 1_000_000,
    "capitals": "A" * 1_000_000,
    "brackets": "((((" * 250_000,
    "dashes": "-" * 1_000_000,
    "dotted": "1.2." * 250_000,
    "colons": "a:" * 500_000,
    "ats": "a@" * 500_000,
    "mails": "a@a." * 250_000,
    "stars": "1*" * 500_000,
    "labels": "电话：" * 300_000,
    "names": "我叫张" * 300_000,
    "headings": "姓名,电话,地址\n" * 100_000,
    "cells": "姓名,1," * 180_000,
    "tables": "姓名,电话,地址\n张三,,\n\n" * 60_000,
    "doors": "一号" * 500_000,
    "roads": "路" * 1_000_000,
    "chinese digits": "一" * 1_000_000,
    "capitalised": "Aa " * 330_000,
    "spaces": " " * 1_000_000,
    "keys": "sk-" * 330_000,
    "tokens": "eyJ" * 330_000,
    "urls": "://a:" * 200_000,
    "titles": "王先生" * 300_000,
    "dates": "1990年" * 160_000,
    "streets": "1 Aa " * 200_000,
    "degrees": "1°" * 500_000,
    "pems": "-----BEGIN PRIVATE KEY-----" * 37_000,
    "jwts": "eyJ" + "a" * 999_997,
}


def _seconds(text):
    # Of the processor: what else runs on the machine is not measured.
    begin = time.process_time()
    find(text, ALL_TYPES)
    return time.process_time() - begin


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_time_is_linear_in_hostile_text(name):
    text = HOSTILE[name][:64_000]
    # The lesser of two, for a collection of garbage may fall into either.
    short, long = (min(_seconds(part) for _ in range(2)) for part in (text[:16_000], text))
    assert long < 12 * short + 0.2, "four times the text took far more than four times the time"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_megabyte_in_one_line_takes_seconds(name):
    assert _seconds(HOSTILE[name]) < 30
