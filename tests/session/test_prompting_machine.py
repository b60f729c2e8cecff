"""Anything that a user may do, in any order: what must hold always, and what once all is quiet."""

import logging
import queue
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.clicker import Clicker
from napari_cellseg.prompts.embedding_cache import EmbeddingCache
from napari_cellseg.prompts.plane_prompter import PlanePrompter
from napari_cellseg.prompts.plane_view import Plane, read_plane
from napari_cellseg.session import Session
from napari_cellseg.worker import InferenceWorker, scene
from prompt_engine import cells
from prompts.tiny_predictor import TinyPredictor

SHAPE = (4, 26, 30)
PLACES = st.tuples(*(st.integers(0, side - 1) for side in SHAPE))
PLANES = st.builds(Plane, st.just("xy"), st.integers(0, SHAPE[0] - 1)) | st.builds(
    Plane, st.just("xz"), st.integers(0, SHAPE[1] - 1)
)
TARGETS = [(1, 10, 12), (2, 8, 20), (2, 12, 10), (3, 15, 15)]
WHICH = st.integers(0, 11)  # modulo how many there are, for that depends on threads
MODELS = ("mobile-sam", "sam")


def picture(seed):
    rng = np.random.default_rng(seed)
    image = cells(SHAPE)
    for _ in range(4):
        z, y, x = (int(rng.integers(0, side - 2)) for side in SHAPE)
        image[z : z + 3, y : y + 9, x : x + 12] = rng.integers(150, 250)
    image[..., 0, 0] = np.arange(SHAPE[0])  # no two planes share an embedding
    return image


def some_labels(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint32)
    for label in range(1, 4):
        z, y, x = (int(rng.integers(0, side - 2)) for side in SHAPE)
        labels[z : z + 2, y : y + 9, x : x + 9] = label
    return labels


class Listener(logging.Handler):
    """What lanes and listeners complain of."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.said = []

    def emit(self, record):
        self.said.append(self.format(record))


class Prompted(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.listener = Listener()
        logging.getLogger("napari_cellseg").addHandler(self.listener)
        self.folder = Path(tempfile.mkdtemp())
        self.former, scene._cache = scene._cache, EmbeddingCache(self.folder, disk_limit=0)
        self.worker = InferenceWorker(threads=1)
        self.models = {
            name: TinyPredictor(name, str(number) * 64) for number, name in enumerate(MODELS, 1)
        }
        for name, model in self.models.items():
            self.worker.models.get("prompt", name, None, "auto", lambda model=model: model)
        self.calls = queue.SimpleQueue()
        self.seen = {}
        self.sure = set()

    @initialize(queued=st.booleans(), seed=st.integers(0, 99), labelled=st.booleans())
    def begin(self, queued, seed, labelled):
        self.session = Session(self.calls.put if queued else None, self.worker)
        self.prompts = self.session.prompts
        self.session.failed.connect(self._unexpected)
        self.errors = []
        self.image = picture(seed)
        self.session.labels_changed.connect(self._new_labels)
        self.prompts.preview_replaced.connect(self._new_preview)
        self.session.use_volume(self.image, axes="zyx", spacing=(1.0, 1.0, 1.0))
        if labelled:
            self.session.adopt(some_labels(seed))
        self.snap()

    def _unexpected(self, error):
        if not isinstance(error, InputError):
            self.errors.append(error)

    def _new_labels(self, labels):
        self.labels = labels

    def _new_preview(self, preview):
        self.preview = None if preview is None else preview.labels

    def snap(self):
        self.before = None if self.session.labels is None else self.session.labels.copy()

    def settled(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.pump(100)
            with self.session._lock:
                busy = self.prompts.encoding.running or self.session.busy
                if not (self.prompts.waiting or busy) and self.calls.empty():
                    return True
            time.sleep(0.001)
        return False

    def say(self, number_of, plane):
        if number_of is not None:
            self.sure.add((number_of.number, plane))

    # -- prompts ---------------------------------------------------------------------------------

    @rule(
        place=PLACES | st.sampled_from(TARGETS),
        positive=st.sampled_from([True, True, False]),
        across=st.booleans(),
    )
    def click(self, place, positive, across):
        plane = Plane("xz", place[1]) if across else Plane("xy", place[0])
        try:
            self.say(self.prompts.click(place, positive, plane), plane)
        except InputError:
            assert self.prompts.current is None
            assert not positive

    @rule(place=PLACES, size=st.integers(3, 15), plane=PLANES)
    def box(self, place, size, plane):
        rows, cols = plane.shape(self.session.volume)
        row, col = min(place[1], rows - 2), min(place[2], cols - 2)
        box = (row, col, min(row + size, rows - 1), min(col + size, cols - 1))
        self.say(self.prompts.box(plane, box), plane)

    @rule(places=st.lists(PLACES, min_size=2, max_size=3), choice=st.integers(0, 2))
    def some_clicks(self, places, choice):
        """One object of several clicks, of which a candidate of the first was chosen."""
        for number, place in enumerate(places):
            self.click(place, True, False)
            if number == 0 and choice:
                self.settle()
                self.choose(choice)

    @rule(place=PLACES, kind=st.sampled_from(["lasso", "scribble"]))
    def draw(self, place, kind):
        z, y, x = place
        plane = Plane("xy", z)
        y, x = min(y, 20), min(x, 24)
        lines = [(y, x), (y, x + 5), (y + 5, x + 5)]
        self.say(self.prompts.draw(plane, lines, kind), plane)

    def prompt_numbers(self):
        with self.session._lock:
            return [number for one in self.prompts.objects.values() for number in one.said]

    @rule(which=WHICH)
    def remove(self, which):
        said = self.prompt_numbers()
        if said:
            self.prompts.remove_prompt(said[which % len(said)])

    @rule(which=WHICH, place=PLACES)
    def move(self, which, place):
        said = self.prompt_numbers()
        if said:
            self.prompts.move_prompt(said[which % len(said)], place)

    @rule(step=st.sampled_from([-1, 1]))
    def cycle(self, step):
        shown = self.prompts.cycle(step)
        if self.prompts.candidates:
            assert shown == self.prompts.chosen

    @rule(index=st.integers(0, 3))
    def choose(self, index):
        self.prompts.choose(index)

    # -- objects ---------------------------------------------------------------------------------

    @rule(first=st.booleans())
    def accept(self, first):
        with self.session._lock:
            waits = any(self.prompts._awaited(one) for one in self.prompts.objects.values())
        if first or waits:  # what is waited for would be accepted when it comes
            self.settle()
        with self.session._lock:
            before = self.before if self.before is not None else np.zeros(SHAPE, np.uint32)
            expected, preview = before.copy(), self.preview.copy()
            objects = {
                number: (one.label, one.region)
                for number, one in self.prompts.objects.items()
                if (preview == number).any()
            }
            for label, region in objects.values():
                if label is not None:
                    there = expected[region]
                    there[there == label] = 0
            ids = self.prompts.accept()
            assert len(ids) == len(objects)
            for (number, (label, _)), got in zip(objects.items(), ids, strict=True):
                assert got == label if label is not None else not (before == got).any()
                expected[preview == number] = got
            after = self.session.labels
            if ids:
                assert np.array_equal(after, expected), "the preview shows what is written"
                self.kept_locked(before, after)
                if not self.prompts.settings.overwrite:
                    own = [label for label, _ in objects.values() if label is not None]
                    stays = (before != 0) & ~np.isin(before, own)
                    assert np.array_equal(after[stays], before[stays])
            self.snap()

    def kept_locked(self, before, after):
        stays = np.isin(before, list(self.prompts.commits.locked))
        assert np.array_equal(after[stays], before[stays])

    @rule()
    def discard(self):
        self.prompts.discard()

    @rule()
    def next_object(self):
        self.prompts.next_object()

    @rule(which=WHICH)
    def hand(self, which):
        with self.session._lock:
            numbers = list(self.prompts.objects)
        if numbers:
            self.prompts.hand(numbers[which % len(numbers)])

    @rule(place=PLACES)
    def reopen(self, place):
        if self.session.labels is None:
            return
        label = int(self.session.labels[place])
        try:
            one = self.prompts.reopen(place)
        except InputError:
            assert label in self.prompts.commits.locked
            return
        if label:
            assert one is not None
            assert one.label == label
        elif one is not None:  # an open object is shown there
            assert one.number in self.prompts.objects
            assert self.preview[place] == one.number

    @rule(again=st.booleans())
    def step_back(self, again):
        with self.session._lock:
            document, before = self.session.document, self.before
            steps = [] if document is None else document.undone if again else document.history
            what = steps[-1].kind if steps else ""
            (self.prompts.redo if again else self.prompts.undo)()
            if self.session.document is document and before is not None:
                same = np.array_equal(before, self.session.labels)
                assert same == (what in ("", "lock", "unlock"))
            self.snap()

    @invariant()
    def labels_follow_from_the_steps_made(self):
        """The same steps, done and not undone, give the same cells bit for bit."""
        with self.session._lock:
            document = self.session.document
            if document is not None:
                steps = (id(document), *(step.number for step in document.history))
                known = self.seen.setdefault(steps, (document, document.labels.copy()))
                assert np.array_equal(known[1], document.labels)

    @rule(label=st.integers(1, 5), hold=st.booleans())
    def lock(self, label, hold):
        (self.prompts.lock if hold else self.prompts.unlock)(label)

    @rule(first=st.integers(0, 3))
    def through_z(self, first):
        try:
            self.prompts.through_z(first=min(first, 1))
        except InputError:
            return

    @rule()
    def everything(self):
        if self.prompts.encoding.view is not None:
            self.prompts.everything(points_per_side=4, least_stability=0.0, least_score=0.5)

    # -- around it -------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["overwrite", "several", "in_3d"]), value=st.booleans())
    def switch(self, name, value):
        setattr(self.prompts.settings, name, value)

    @rule(model=st.sampled_from(MODELS))
    def model(self, model):
        if model != self.prompts.settings.model:
            self.sure.clear()
            self.prompts.settings.model = model

    @rule(limits=st.sampled_from([None, (0.0, 255.0), (10.0, 240.0)]))
    def contrast(self, limits):
        if (limits,) != self.prompts.settings.limits:
            self.sure.clear()
            self.prompts.settings.limits = (limits,)

    @rule(plane=PLANES)
    def look(self, plane):
        self.prompts.look_at(plane)

    @rule(on=st.booleans())
    def turn(self, on):
        (self.prompts.start if on else self.prompts.stop)()

    @rule(place=PLACES)
    def paint_the_image(self, place):
        self.sure.clear()
        z, y, x = place
        self.image[z, y : y + 6, x : x + 6] = 255 - self.image[z, y : y + 6, x : x + 6]

    @rule(place=PLACES, label=st.integers(0, 6))
    def brush(self, place, label):
        with self.session._lock:
            if self.session.labels is None:
                return
            z, y, x = place
            painted = np.zeros(SHAPE, bool)
            painted[z, y : y + 4, x : x + 4] = True
            self.session.stroke(np.nonzero(painted), label, gather=False)
            self.kept_locked(self.before, self.session.labels)
            self.snap()

    @rule(place=PLACES, label=st.integers(0, 6))
    def write_without_a_word(self, place, label):
        """A plugin writes into the array; what came before cannot be undone where it was first."""
        with self.session._lock:
            if self.session.labels is None:
                return
            z, y, x = place
            self.session.labels[z, y : y + 2, x : x + 2] = label
            self.seen.clear()
            self.session.note_edit()
            self.snap()

    @rule(seed=st.integers(0, 99), what=st.sampled_from(["image", "labels", "none", "former"]))
    def replace(self, seed, what):
        with self.session._lock:
            if what == "image":
                self.image = picture(seed)
                self.session.use_volume(self.image, axes="zyx", spacing=(1.0, 1.0, 1.0))
                assert not self.prompts.objects
            elif what == "labels":
                self.session.adopt(some_labels(seed))
            elif what == "none":
                self.session.remove_labels()
            elif self.session.can("undo"):
                self.session.undo()
            else:
                return
            if what != "former":
                assert not self.prompts.commits.committed
                assert self.session.document is None or not self.session.document.can_undo
            self.snap()

    @rule(count=st.integers(1, 5))
    def pump(self, count):
        for _ in range(count):
            try:
                self.calls.get_nowait()()
            except queue.Empty:
                return

    @rule()
    def settle(self):
        assert self.settled(), "something waits for ever"
        assert not self.errors
        prompts = self.prompts
        with self.session._lock:
            if not prompts.active:
                return
            for one in prompts.objects.values():
                for plane in one.planes:
                    if (one.number, plane) in self.sure and one.names_something(plane):
                        self.check(one, plane)

    def check(self, one, plane):
        """What is there is what the present model says of the present image and prompts."""
        chosen = self.prompts.settings
        pixels = read_plane(self.session.volume, plane, chosen.channels, chosen.limits)
        prompter = PlanePrompter(
            self.models[chosen.model],
            EmbeddingCache(self.folder, disk_limit=0),
            pixels,
            chosen.limits[0],
            orientation=plane.orientation,
        )
        prompter.encode()
        if any(getattr(said, "plane", None) == plane for said in one.points) and one.basin:
            return
        said = self.prompts._prompts_in(one, plane)
        answer = Clicker(prompter).answer(said)
        index = one.choice.get(plane, 0) if len(answer) > 1 else 0
        (rows, cols), mask = answer.region(index)
        wanted = np.zeros(SHAPE, bool)
        wanted[plane.region(rows, cols, "zyx")] = plane.upright(mask, "zyx")
        got = np.zeros(SHAPE, bool)
        if plane in one.parts:
            got[one.parts[plane].region] = one.parts[plane].mask
        assert np.array_equal(got, wanted)

    @invariant()
    def always(self):
        if not hasattr(self, "prompts"):
            return
        assert not self.listener.said
        with self.session._lock:
            assert self.session.labels is self.labels
            assert self.prompts.preview.labels is self.preview
            if self.before is None:
                assert self.labels is None
            else:
                assert np.array_equal(self.labels, self.before), "nothing else writes"
            assert set(np.unique(self.preview)) <= {0, *self.prompts.objects}

    def teardown(self):
        if hasattr(self, "session"):
            self.session.close()
        try:
            assert self.worker.shutdown(10)
            assert not self.listener.said
        finally:
            scene._cache = self.former
            logging.getLogger("napari_cellseg").removeHandler(self.listener)
            shutil.rmtree(self.folder, ignore_errors=True)


TestPrompted = Prompted.TestCase
TestPrompted.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
