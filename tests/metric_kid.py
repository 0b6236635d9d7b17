#!/usr/bin/env python3
"""A metric's program that behaves badly: metric_kid.py KIND. The right score of example k is RIGHT[k].

metric_kid.py --table prints the interpreter, then for each kind: its name, the options of its command, what each of six examples is to
get, and words of the error of what fails, with | between. Of an example: "+" its right score, "-" an error, "?" one
of both. tests/unit/test_metric.c and tests/cluster/metric_kids.sh read it."""
import json, os, signal, subprocess, sys, threading, time

RIGHT = [1, 0.5, 0.25, 0.125, 0, 0.75]
KINDS = {}
SLOW = '{"timeout": 8, "processes": 6}'  # nobody waits longer than for one of them
SILENT = "did not answer within"


def kind(expected="++++++", words="", options="{}"):
    def add(f):
        KINDS[f.__name__] = (f, options, expected, words)
        return f
    return add


def put(text):
    data = text if isinstance(text, bytes) else text.encode()
    while data:
        data = data[os.write(1, data):]


def say(answer):
    put(json.dumps(answer) + "\n")


def questions():
    for line in sys.stdin:
        q = json.loads(line)
        yield q, int(q["example"]["k"])


def plain(q, k): return {"score": RIGHT[k]}
def named(q, k): return {"id": q["id"], "score": RIGHT[k]}


def each(f):
    for q, k in questions():
        f(q, k)


def answer_with(text):
    for _ in questions():
        put(text)


def sleep_for_ever():
    while True:
        time.sleep(1000)


def tell_and_sleep():  # the script that has it run knows that all its daemons are there
    sys.stdin.readline()
    if "KID_FOLDER" in os.environ:
        open(f"{os.environ['KID_FOLDER']}/hangs.{os.getpid()}", "w").close()
    sleep_for_ever()


def in_background(session=False):
    return subprocess.Popen(["sleep", "1000"], start_new_session=session, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


# ---- those that do well, each in its way ----
@kind()
def no_id(): each(lambda q, k: say(plain(q, k)))
@kind()
def with_id(): each(lambda q, k: say(named(q, k)))
@kind()
def id_as_text(): each(lambda q, k: say({"id": str(q["id"]), "score": RIGHT[k]}))
@kind()
def id_as_float(): each(lambda q, k: say({"id": float(q["id"]), "score": RIGHT[k]}))
@kind("++-+++", "odd input")
def error_without_id(): each(lambda q, k: say({"error": "odd input"} if k == 2 else named(q, k)))
@kind()
def line_ends_of_windows(): each(lambda q, k: put(json.dumps(plain(q, k)) + "\r\n"))
@kind()
def in_pieces():
    for q, k in questions():
        for c in json.dumps(plain(q, k)) + "\n":
            put(c)
            time.sleep(0.002)
@kind()
def exits_after_each():
    for q, k in questions():
        say(plain(q, k))
        os._exit(0)
@kind()
def exits_without_line_end():
    for q, k in questions():
        put(json.dumps(named(q, k)))
        os._exit(0)
@kind(options='{"timeout": 8}')
def slow_start():
    time.sleep(8.5)
    no_id()
@kind()
def banner():
    put("Loading the model ...\n\n")
    no_id()
@kind()
def banner_of_json():
    put('{"status": "ready"}\n')
    no_id()
@kind()
def prints_beside():
    for q, k in questions():
        put('noise\n{"progress": 1}\n')
        say(plain(q, k))
        put("done\n")
@kind()
def reads_blocks():  # not lines, and dies of a part of one
    while True:
        q = json.loads(os.read(0, 65536))
        say(plain(q, int(q["example"]["k"])))
@kind()
def reads_blocks_and_complains():
    while True:
        try:
            q = json.loads(os.read(0, 65536))
            say(plain(q, int(q["example"]["k"])))
        except ValueError as error:
            say({"error": str(error)})
@kind()
def reads_ahead():
    import queue
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(q) for q in questions()], daemon=True).start()
    while True:
        say(plain(*lines.get()))

# ---- too many answers ----
@kind()
def twice(): each(lambda q, k: put(2 * (json.dumps(plain(q, k)) + "\n")))
@kind()
def twice_with_id(): each(lambda q, k: put(2 * (json.dumps(named(q, k)) + "\n")))
def pause(answer, seconds, only=None):
    for q, k in questions():
        say(answer(q, k))
        if only is None or k == only:
            time.sleep(seconds)
            say(answer(q, k))
@kind()
def twice_with_a_pause(): pause(plain, 0.05)
@kind()
def twice_with_a_long_pause(): pause(plain, 0.5)
@kind()
def twice_with_a_pause_and_id(): pause(named, 0.05)
@kind()
def one_twice_with_a_pause(): pause(plain, 0.2, 1)
@kind()
def twice_from_a_thread():
    for q, k in questions():
        threading.Timer(0.1, say, [plain(q, k)]).start()
        time.sleep(0.03)
        say(plain(q, k))
@kind()
def twice_from_a_thread_with_id():
    for q, k in questions():
        threading.Timer(0.1, say, [named(q, k)]).start()
        say(named(q, k))
@kind("------", "two different answers to one question")
def twice_and_different():
    for q, k in questions():
        say(plain(q, k))
        say({"score": 1 - RIGHT[k] / 2})
@kind("??????", "")
def floods_with_answers():
    for q, k in questions():
        while True:
            put(1000 * (json.dumps(plain(q, k)) + "\n"))
@kind("??????", "two different answers|nobody had asked for")
def answers_before_it_is_asked():
    say({"score": 0.3})
    no_id()
@kind("------", "nobody had asked for|two different answers")
def answers_without_reading():
    while True:
        say({"score": 0.3})
        time.sleep(0.2)
@kind("??????", "an id that it was never asked")
def answers_another_before_it_is_asked():
    say({"id": 1, "score": 0.3})
    with_id()
@kind()
def answers_after_the_end_of_input():
    with_id()
    say({"id": 1, "score": 0.3})

# ---- answers of others ----
@kind("++-+++", SILENT, SLOW)
def late():
    for q, k in questions():
        if k == 2:
            time.sleep(1000)
        say(plain(q, k))
@kind("++-+++", SILENT, '{"timeout": 8}')
def late_with_id():
    for q, k in questions():
        if k == 2:
            time.sleep(1000)
        say(named(q, k))
@kind("------", SILENT, SLOW)
def two_at_a_time():
    while True:
        a, b = sys.stdin.readline(), sys.stdin.readline()
        for q in json.loads(b), json.loads(a):
            say(named(q, int(q["example"]["k"])))
@kind("------", "an id that it was never asked")
def wrong_id(): each(lambda q, k: say({"id": q["id"] - 1, "score": 0.3}))
@kind("------", "an id that it was never asked")
def id_of_another_kind(): each(lambda q, k: say({"id": [q["id"]], "score": 0.3}))
@kind("------", "an id that it was never asked")
def id_of_the_next():
    each(lambda q, k: say({"id": k + 2, "score": 0.3}))
@kind("+-+-+-", SILENT, '{"timeout": 6}')
def id_of_an_earlier_question():  # a fresh one gets the next
    first = None
    for q, k in questions():
        first = first or q
        say({"id": first["id"], "score": RIGHT[k]})

# ---- no answers ----
@kind("------", "it wrote `1`, which is not an answer", SLOW)
def number(): answer_with("1\n")
@kind("------", "it wrote `{}`, which is not an answer", SLOW)
def empty_object(): answer_with("{}\n")
@kind("------", "it wrote `{'score': 1}`, which is not an answer", SLOW)
def python_object(): answer_with("{'score': 1}\n")
@kind("------", "which is not an answer", SLOW)
def id_alone(): each(lambda q, k: say({"id": q["id"]}))
@kind("------", SILENT, SLOW)
def nothing(): answer_with("")
@kind("------", SILENT, '{"timeout": 8, "processes": 6}')
def never_reads(): sleep_for_ever()
@kind("------", SILENT, SLOW)
def no_line_end(): answer_with('{"score": 1}')
@kind("------", "and no answer", '{"processes": 6}')
def floods():
    while True:
        put(b"y\n" * 32768)
@kind("++-+++", "line that never ends")
def long_line():
    for q, k in questions():
        if k == 2:
            put(b"x" * 100_000_000)
        say(plain(q, k))
@kind()
def deep_line():
    for q, k in questions():
        put("[" * 200000 + "\n")
        say(plain(q, k))
@kind()
def much_on_stderr():
    for q, k in questions():
        os.write(2, b"x" * 300000)
        say(plain(q, k))
@kind()
def floods_stderr():
    def flood():
        for _ in range(1000):
            os.write(2, b"x" * 65536)
    threading.Thread(target=flood, daemon=True).start()
    no_id()

# ---- scores that are none ----
def values(*texts):
    each(lambda q, k: put('{"score": %s}\n' % texts[k]))
@kind("------", "not a number from 0 to 1")
def no_numbers(): values("NaN", "Infinity", "1e999", '"0.5"', "null", "[1]")
@kind("+-----", "not a number from 0 to 1")
def beyond(): values("true", '{"score": 1}', "-0.001", "1.0001", "-Infinity", "[]")
@kind("------", "caf? ?")
def error_in_latin_1(): answer_with(b'{"error": "caf\xe9 \xff"}\n')
@kind()
def note_in_latin_1(): each(lambda q, k: put(b'{"why": "caf\xe9", "score": %f}\n' % RIGHT[k]))
@kind()
def nul(): each(lambda q, k: put(b'\0{"score": %f}\0\n' % RIGHT[k]))
@kind("------", "odd")
def score_and_error(): answer_with('{"score": 1, "error": "odd"}\n')
@kind("------", "the metric says error")
def error_that_is_no_text(): answer_with('{"error": {"a": 1}}\n')

# ---- its end ----
@kind("++-+++", "its last words: last words")
def dies():
    for q, k in questions():
        if k == 2:
            os.write(2, b"last words")
            os._exit(3)
        say(plain(q, k))
@kind("------", "ended before it answered")
def exits_at_once(): os._exit(0)
@kind("++-+++", "ended before it answered")
def kills_itself():
    for q, k in questions():
        if k == 2:
            os.kill(0, signal.SIGKILL)
        say(plain(q, k))
@kind("++-+++", SILENT, '{"timeout": 8}')
def stops_itself():
    for q, k in questions():
        if k == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
        say(plain(q, k))
@kind("++-+++", SILENT, '{"timeout": 8}')
def ignores_signals():
    for s in range(1, 65):
        try:
            signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    for q, k in questions():
        if k == 2:
            sleep_for_ever()
        say(plain(q, k))
@kind("++-+++", "ended before it answered")
def closes_stdout():
    for q, k in questions():
        if k == 2:
            os.close(1)
            sleep_for_ever()
        say(plain(q, k))
@kind()
def closes_stdin():
    for q, k in questions():
        os.close(0)
        say(plain(q, k))
        sleep_for_ever()
@kind()
def closes_stderr():
    os.close(2)
    no_id()
@kind()
def comes_for_no_more():
    for q, k in questions():
        say(named(q, k))
        if k % 2 == 1:
            os._exit(0)
@kind(options='{"timeout": 8}')
def answers_and_sleeps():
    for q, k in questions():
        say(plain(q, k))
        if k == 2:
            sleep_for_ever()
@kind()
def eats_descriptors():
    try:
        while True:
            os.dup(2)
    except OSError:
        pass
    no_id()

# ---- what it starts ----
@kind("++-+++", "ended before it answered")
def forks_and_leaves():
    for q, k in questions():
        if k == 2:
            if os.fork():
                os._exit(0)
            sleep_for_ever()
        say(plain(q, k))
@kind()
def helpers():
    for q, k in questions():
        in_background()
        in_background(True)
        say(plain(q, k))
@kind()
def helpers_hold_the_pipes():
    for q, k in questions():
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        say(named(q, k))
@kind()
def daemon():
    for q, k in questions():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for fd in range(3):
                    os.close(fd)
                sleep_for_ever()
            os._exit(0)
        os.wait()
        say(named(q, k))
@kind()
def many_daemons(then=None):
    for _ in range(40):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                sleep_for_ever()
            os._exit(0)
    (then or no_id)()
@kind("------", SILENT, SLOW)
def daemons_and_hangs():
    many_daemons(tell_and_sleep)
@kind("++-+++", SILENT, '{"timeout": 8}')
def own_session():
    if os.fork():  # its child has the pipes, and is nobody's
        while True:
            try:
                os.wait()
            except ChildProcessError:
                os._exit(0)
    os.setsid()
    for q, k in questions():
        if k == 2:
            sleep_for_ever()
        say(plain(q, k))
@kind("++-+++", SILENT, '{"timeout": 8}')
def own_group():
    os.setpgid(0, os.getppid())
    for q, k in questions():
        if k == 2:
            sleep_for_ever()
        say(plain(q, k))
@kind()
def wants_its_guard_to_end():
    for s in signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1:
        os.kill(os.getppid(), s)
    no_id()
@kind()
def stops_its_guard():
    in_background(True)
    for q, k in questions():
        if k == 2:
            os.kill(os.getppid(), signal.SIGSTOP)
        say(named(q, k))


if __name__ == "__main__":
    if sys.argv[1] == "--table":
        print(sys.executable)
        for name, (_, options, expected, words) in KINDS.items():
            print(name, options, expected, words, sep="\t")
    else:
        KINDS[sys.argv[1]][0]()
