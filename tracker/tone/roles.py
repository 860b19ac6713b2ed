"""Which part a word can play in a rule: trade, camp, option, dip, fate, forecast. Closed lists, in lower case.

roles(negations) -> {word: flags}     a word can play several parts
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

CALL: Final = 1 << 0
PUT: Final = 1 << 1
SINGLE: Final = 1 << 2  # call, put: an option only where the neighbours say so
BEARS: Final = 1 << 3  # the camp that wants it to fall
BULLS: Final = 1 << 4  # the other one
SHORTS: Final = 1 << 5  # the people, or one's own positions: the words in front tell
BUY: Final = 1 << 6  # opens or adds to a position
SELL: Final = 1 << 7  # closes or cuts it
AGAINST: Final = 1 << 8  # bets on a fall
TRADE: Final = 1 << 9  # whose denial says as much as the opposite
VAGUE: Final = 1 << 10  # opens a position only in front of an option
DENIES: Final = 1 << 11  # not, never, why, stop
DIP: Final = 1 << 12  # a fall of the price, as something to buy
HURT: Final = 1 << 13  # fear, stupidity, a bad end: what a camp is mocked with
VICTORY: Final = 1 << 14  # what a camp boasts of
WIN: Final = 1 << 15  # how an option pays
RUIN: Final = 1 << 16  # how an option ends, no mere mood
FALL: Final = 1 << 17  # of the price, as a verb
RISE: Final = 1 << 18  # the opposite
AHEAD: Final = 1 << 19  # what follows is a forecast
MINE: Final = 1 << 20  # whose option it is
THEIRS: Final = 1 << 21  # somebody else's

# The roles that start a rule
STARTERS: Final = CALL | PUT | BEARS | BULLS | TRADE | DIP | FALL | RISE

# Who asks like this thinks the opposite; who says this about a trade denies it.
SCORNS: Final = frozenset({"why", "imagine"})
REFUSES: Final = frozenset({"stop", "nobody", "refuse", "refusing", "noone", "quit"})

_WORDS: Final[tuple[tuple[int, str], ...]] = (
    (CALL, "calls <call> call"),
    (PUT, "puts <put> put"),
    (SINGLE, "call put"),
    (
        BEARS,
        """
        bears bearz permabears permabear shorties shorty shorters shorter hedgies bashers basher haters
        naysayers doubters fudders fudsters shorts shortsellers bers
        """,
    ),
    (SHORTS, "shorts"),
    (BULLS, "bulls bullz longs permabulls permabull moonboys pumpers fanboys longers"),
    (BUY | TRADE, "buy buying bought hold holding adding"),
    (
        BUY,
        """
        buys add added load loading loaded grab grabbed grabbing scoop scooped scooping accumulate
        accumulating accumulated snag snagged snagging nibble nibbling nibbled picked picking purchase
        purchased stack stacking
        """,
    ),
    (
        VAGUE,
        """
        get getting got long own owning have having take took hodl opened opening enter entered entering
        yolo yoloed yolod yoloing in into more some rolling rolled doubled doubling holders holder
        """,
    ),
    (SELL | TRADE, "sell selling sold"),
    (
        SELL,
        """
        sells dump dumped dumping close closed closing exit exited exiting trim trimmed trimming cut
        ditch ditched unload unloaded unloading write writing wrote written
        """,
    ),
    (AGAINST | TRADE, "short shorting shorted"),
    (
        DIP,
        """
        dip dips dipping pullback pullbacks drop drops weakness blood sale discount lows fear panic
        crash correction corrections red low fud selloff dumps retrace retracement
        """,
    ),
    (
        HURT,
        """
        cry crying cries cried trapped fucked rip dead scared worried panic panicking panicked sweating
        sweat nervous hiding hide quiet desperate burn burned burning burnt wrecked rekt crushed killed
        kill slaughtered destroyed destroy destroying roasted cover covering covered squeezed squeeze
        squeezing sorry poor stupid dumb idiots idiot morons fools clowns clown delusional salty tears
        lose losing lost loses losers wrong mad hate angry smoked cooked toast eaten bye goodbye
        shambles caught stuck screwed hurt hurting pain pathetic ruined denial upset butthurt bleeding
        suffer suffering worthless expire expired expiring crush crushing slaughter trash lol haha 😂 🤣 🤡
        😭 💀 😆 laugh laughing joke fooled funny weak annihilated obliterated torched demolished pwned
        owned bait baited trap hibernate hibernating extinct silent disappear disappeared gone missing
        regret beg begging gtfo rugged massacre massacred bled confused 🤦 🤮 💩 🔥 🪦 ⚰ liquidated afraid
        shaking terrified bitter jealous run running where wheres
        """,
    ),
    (
        WIN,
        """
        win wins winning won right control charge feast feasting eat eating strong happy smile smiling
        partying celebrate celebrating rich print printing prints pay paying pays paid green itm gain
        gains 💰 🤑 dominate rule laughing free profit profits profitable fly flying moon 🚀
        """,
    ),
    (
        FALL,
        """
        fall falls falling drop drops dropping dump dumps dumping crash crashes crashing tank tanks
        tanking sink sinks sinking plunge plunging plummet plummeting collapse collapsing tumble correct
        bleed drill implode decline crater dive nosedive fade retrace
        """,
    ),
    (
        RISE,
        """
        fly rip run pop moon soar explode rise bounce rally squeeze skyrocket rocket surge climb boom
        recover rebound double triple breakout jump spike launch
        """,
    ),
    (
        AHEAD,
        """
        will gonna gunna about going could should bound due expect expecting ready might must itll
        theyll youll likely wants waiting coming incoming soon starting begin wont cant cannot wouldnt never
        """,
    ),
    (MINE, "my our mine"),
    (THEIRS, "your ur their"),
    (
        RUIN,
        """
        worthless expire expired expiring fucked dead toast burn burned burning burnt wrecked rekt
        crushed killed slaughtered destroyed roasted crying cry trash screwed rip zero smoked cooked
        incinerated
        """,
    ),
    (VICTORY, "win wins winning won control feast feasting charge victory celebrating partying dominate"),
)


def roles(negations: Collection[str]) -> dict[str, int]:
    """word -> the flags of all roles it can play."""
    found = dict.fromkeys((*negations, *SCORNS, *REFUSES), DENIES)
    for flag, words in _WORDS:
        for word in words.split():
            found[word] = found.get(word, 0) | flag
    return found
