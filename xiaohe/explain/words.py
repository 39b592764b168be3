"""Every code that an order or an event carries, as words for a person, in English and in Chinese.

The lists are closed where the engine's are: a test fails where a code has no words. A code that
is not here (a desk's own reason, or one of a newer engine) is shown as it is.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from xiaohe.dispatch import deadlines
from xiaohe.dispatch.aside import ENGINE_FAILED
from xiaohe.dispatch.choice import FARTHER
from xiaohe.dispatch.eligibility import Excluded


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


RULES: Final[Mapping[str, Words]] = {
    "owner": Words("answers for the road", "本路段责任人"),
    "team": Words("is of the squad that answers for the road", "所在班负责本路段"),
    "nearest": Words("is there soonest by road", "按道路行程最快到达"),
    "mutual_aid": Words(
        "is there soonest by road, for a neighbouring area that asked for aid",
        "应相邻辖区求援，按道路行程最快到达",
    ),
    "operator": Words("was named by a person at the desk", "由指挥席人工指定"),
}
"""By which rule somebody was chosen: follows their name."""

EXCLUDED: Final[Mapping[str, Words]] = {
    Excluded.OFF_DUTY: Words("was not on duty", "不在岗"),
    Excluded.BUSY: Words("had another order", "正在执行其他指令"),
    Excluded.SENT_JOINTLY: Words(
        "has another order by the same joint choice", "同一统筹决定中已另派"
    ),
    Excluded.ON_BREAK: Words("was on a break", "正在休息"),
    Excluded.TRIED: Words("had been asked here already", "本事件中已派过"),
    Excluded.STALE_FIX: Words(
        "had neither a fresh fix nor a post: nobody knew where they were",
        "定位过期且无固定岗位，位置不明",
    ),
    Excluded.SKILLS: Words("lacks a skill that is needed", "不具备所需技能"),
    Excluded.FORCE: Words("is of a force that is not sent here", "所属队伍不在派遣范围"),
    Excluded.IN_DISTRESS: Words("was in distress themselves", "本人正在求救"),
    Excluded.TOO_FAR: Words(
        "answers for the road, and would not be there in time", "本路段责任人，但无法按时到达"
    ),
    Excluded.UNREACHABLE: Words("no way leads there for them", "无路可达"),
}  # fmt: skip
"""Why somebody was passed over: follows their name."""

VERDICTS: Final[Mapping[str, Words]] = {
    "ordered": Words("ordered", "已派遣"),
    "later": Words("could have gone, and would have been there later", "可派，但到达更晚"),
    "owner_first": Words(
        "could have gone; the road's owner comes first", "可派，但责任人优先"
    ),
    "team_first": Words("could have gone; the road's squad comes first", "可派，但责任班优先"),
    "by_hand": Words("could have gone; a person chose another", "可派，但由人工另行指定"),
    "jointly": Words(
        "could have gone; not so when the incidents are decided together",
        "可派，但多起事件统筹后另行安排",
    ),
    "passed_over": Words("could have gone", "可派"),
}  # fmt: skip
"""What became of somebody who was not excluded."""

UNFILLED: Final[Mapping[str, Words]] = {
    "no_place": Words("nobody knows where it is", "地点不明"),
    "no_members": Words("the area has no members", "辖区内无队员"),
    ENGINE_FAILED: Words(
        "the engine failed on it several times: a person has to choose",
        "系统多次处理失败，须人工派遣",
    ),
}
"""Why nobody could go at all, besides the reasons of EXCLUDED."""

LEFT_OUT: Final[Mapping[str, Words]] = {
    Excluded.OFF_DUTY: Words("not on duty", "不在岗"),
    Excluded.BUSY: Words("with another order", "执行其他指令"),
    Excluded.SENT_JOINTLY: Words("sent by the same joint choice", "统筹另派"),
    Excluded.ON_BREAK: Words("on a break", "休息"),
    Excluded.TRIED: Words("asked already", "已派过"),
    Excluded.STALE_FIX: Words("nobody knew where", "位置不明"),
    Excluded.SKILLS: Words("without the skill", "技能不符"),
    Excluded.FORCE: Words("of another force", "队伍不符"),
    Excluded.IN_DISTRESS: Words("in distress", "求救中"),
    Excluded.TOO_FAR: Words("too far", "过远"),
    Excluded.UNREACHABLE: Words("without a way there", "无路可达"),
    FARTHER: Words("who could have gone and are farther away", "可派但距离更远"),
}
"""The same reasons behind a number: «3 not on duty»."""

ROLES: Final[Mapping[str, Words]] = {
    "primary": Words("primary", "主责处置"),
    "backup": Words("reinforcement", "增援"),
}

MODES: Final[Mapping[str, Words]] = {
    "walk": Words("on foot", "步行"),
    "ebike": Words("e-bike", "电动自行车"),
    "car": Words("car", "汽车"),
}

ENDS: Final[Mapping[str, Words]] = {
    "completed": Words("completed", "已完成"),
    "declined": Words("declined", "已拒绝"),
    "lapsed": Words("lapsed", "已失效"),
    "stood_down": Words("stood down", "已撤回"),
    "cancelled": Words("cancelled", "已取消"),
}
"""How an order ended."""

EVENTS: Final[Mapping[str, Words]] = {
    "incident.opened": Words("the incident is opened", "事件建立"),
    "alert.attached": Words("another alert is the same matter", "并入一条警情"),
    "incident.updated": Words("what is known of it changes", "事件信息更新"),
    "member.dispatched": Words("{who} is ordered to go", "{who}接到派遣"),
    "backup.dispatched": Words("{who} is ordered as reinforcement", "{who}接到增援派遣"),
    "member.accepted": Words("{who} accepts", "{who}接受"),
    "member.declined": Words("{who} declines", "{who}拒绝"),
    "acceptance.overdue": Words("nobody has accepted in time", "无人按时接受"),
    "member.en_route": Words("{who} sets out", "{who}出发"),
    "member.arrived": Words("{who} is on scene", "{who}到达现场"),
    "arrival.predicted_late": Words("{who} will be late", "预计{who}无法按时到达"),
    "arrival.overdue": Words("nobody is on scene in time", "无人按时到达"),
    "backup.required": Words("reinforcement is needed", "需要增援"),
    "backup.arrived": Words("{who} is there as reinforcement", "{who}增援到达"),
    "backup.overdue": Words("no reinforcement in time", "增援未按时到达"),
    "member.stood_down": Words("{who} is stood down", "{who}被撤回"),
    "member.lapsed": Words("the order of {who} lapses", "{who}的指令失效"),
    "member.completed": Words("{who} is done", "{who}处置完成"),
    "incident.unfilled": Words("nobody can go", "无人可派"),
    "command.notified": Words("the command is told", "通知上级"),
    "command.acknowledged": Words("the command takes note", "上级已知悉"),
    "incident.resolved": Words("it is resolved", "事件已处置"),
    "incident.referred": Words("it is handed on", "事件移交"),
    "incident.return_visited": Words("who reported it was asked afterwards", "已回访"),
    "incident.closed": Words("the file is closed", "事件归档"),
    "incident.reopened": Words("it is opened again", "事件重开"),
    "incident.cancelled": Words("it is cancelled: there is nothing to go to", "事件取消"),
    "incident.merged": Words("it is the same as another incident", "并入另一事件"),
    "incident.unmerged": Words("it is a matter of its own again", "恢复为独立事件"),
}
"""What happened, by the type of the event."""

REASONS: Final[Mapping[str, Words]] = {
    "always": Words("policy always sends one", "按预案一律增援"),
    "too_few": Words("more people are needed than are under way", "人手不足"),
    "predicted_late": Words("the first will be late", "预计首派人员迟到"),
    "acceptance_overdue": Words("nobody has accepted", "无人接受"),
    "arrival_overdue": Words("nobody is there yet", "无人到场"),
    "asked_for": Words("asked for on scene", "现场请求"),
    "requested": Words("asked for", "提出请求"),
    "unfilled": Words("nobody can go", "无人可派"),
    "sos": Words("a member is in distress", "队员求救"),
    "not_acknowledged": Words("no word from the rung below", "下级未回应"),
    "accepted_by_another": Words("somebody else accepted", "他人已接受"),
    "resolved": Words("it is resolved", "事件已处置"),
    "cancelled": Words("it is cancelled", "事件已取消"),
    "closed": Words("the file is closed", "事件已归档"),
    "merged": Words("it is the same as another incident", "已并入另一事件"),
    "corrected": Words("the alert was corrected", "警情已更正"),
    "sent_elsewhere": Words("sent elsewhere", "另有派遣"),
    "member_in_distress": Words("is in distress", "队员遇险"),
    "stood_down": Words("taken back", "撤回"),
    "no_answer": Words("no answer", "未应答"),
    "not_arrived": Words("never arrived", "未到达"),
    "too_far": Words("too far to be there in time", "距离过远"),
    "silent": Words("nothing is heard of them", "失去联系"),
    "no_progress": Words("is not coming nearer", "未接近现场"),
    "position": Words("by position", "按定位"),
    "own_finding": Words("found it themselves", "自行发现"),
    "squad_leader": Words("squad leader", "班长"),
    "squadron_leader": Words("squadron leader", "中队长"),
    "brigade_leader": Words("brigade leader and police room", "大队长与警务室"),
}  # fmt: skip
"""Reasons that events give; others are a person's own and are shown as they are."""

DEADLINES: Final[Mapping[str, Words]] = {
    deadlines.ACCEPT: Words("the time to accept is over", "接受时限到"),
    deadlines.ARRIVE: Words("the time to arrive is over", "到达时限到"),
    deadlines.BACKUP: Words("the time for reinforcement is over", "增援时限到"),
    deadlines.RETRY: Words("nobody could go, and it is tried again", "无人可派后重试"),
    deadlines.LADDER: Words("the next rung of the command is due", "应通知上一级"),
    deadlines.OFFER: Words("the next one is asked as well", "应再询问下一人"),
    deadlines.LAPSE: Words("an unanswered order runs out", "未应答指令到期"),
    deadlines.PROGRESS: Words("who accepted should be nearer by now", "应已接近现场"),
    deadlines.NO_SHOW: Words("who accepted is given up", "接受者未到，放弃等待"),
}
"""What had fallen due, by the deadline's name."""

ODD: Final[Mapping[str, Words]] = {
    "unknown_road": Words("a road that the map does not know", "地图无此道路"),
    "unknown_address": Words("an address that the map does not know", "地址无法识别"),
    "ambiguous_address": Words("an address of several roads", "地址对应多条道路"),
    "address_by_road": Words("placed by the road in the address", "按地址中的道路定位"),
    "no_place": Words("no place", "无地点"),
    "no_road": Words("no road", "无道路"),
    "far_off_road": Words("far from every road", "远离道路"),
    "road_is_elsewhere": Words("the stated road is elsewhere", "所报道路与位置不符"),
    "road_of_another_area": Words("a road of another area", "属其他辖区道路"),
    "occurred_at_unreadable": Words("no readable time", "发生时间无法识别"),
    "occurred_in_the_future": Words("dated in the future", "发生时间在未来"),
    "occurred_long_ago": Words("dated long ago", "发生时间过早"),
    "reporter_not_free": Words("who reports it is not free", "报告人正忙"),
    "reporter_unknown": Words("who reports it is not on the roster", "报告人不在名册"),
    "supersedes_unknown": Words("corrects an alert that nobody knows", "所更正的警情不存在"),
}
"""What was unusual about an alert."""

TOLD_FIELDS: Final = ("category", "reason", "outcome", "rung", "relation", "into", "was")
"""Fields of an event that say more than its type, in the order of telling."""

TOLD_BY: Final = frozenset({"position", "own_finding"})
"""Of ``by`` only this is told: otherwise it is the member themselves, or the engine."""


def in_words(table: Mapping[str, Words], code: str) -> Words:
    """Give the words of a code; one that the table does not know as it stands."""
    plain = code.replace("_", " ")
    return table.get(code) or Words(plain, plain)


def unfilled_words(reason: str) -> Words:
    """Give the words of a reason why nobody can go."""
    return in_words({**EXCLUDED, **UNFILLED}, reason)


def event_words(kind: str, data: Mapping[str, Any], who: str) -> Words:
    """Tell an event in a line: what happened, and what it says of the reason."""
    known = EVENTS.get(kind) or Words(kind, kind)
    more = list(_more(data))
    en, zh = (text.replace("{who}", who) for text in known)
    if not more:
        return Words(en, zh)
    return Words(
        f"{en}: {'; '.join(each.en for each in more)}",
        f"{zh}：{'；'.join(each.zh for each in more)}",
    )


def _more(data: Mapping[str, Any]) -> list[Words]:
    told = []
    if data.get("priority"):
        told.append(Words(f"priority {data['priority']}", f"{data['priority']}级"))
    told += [in_words(REASONS, str(data[name])) for name in TOLD_FIELDS if data.get(name)]
    if data.get("by") in TOLD_BY:
        told.append(in_words(REASONS, str(data["by"])))
    if data.get("implied"):
        told.append(Words("as what they said next implies", "由后续操作推定"))
    told += [unfilled_words(str(reason)) for reason in data.get("reasons", ())]
    told += [in_words(ODD, str(odd)) for odd in data.get("odd", ())]
    if roads := ", ".join(map(str, data.get("candidates", ()))):
        told.append(Words(f"the address may mean {roads}", f"地址可能是：{roads}"))
    return told
