import threading

from napari_cellseg.widgets.bridge import gui_bridge


def test_calls_arrive_on_the_gui_thread_in_order(qtbot):
    bridge = gui_bridge()
    seen = []

    def work():
        for number in range(20):
            bridge.post(lambda number=number: seen.append((number, threading.current_thread())))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == []  # nothing runs before the event loop turns
    qtbot.waitUntil(lambda: len(seen) == 20)
    assert [number for number, _ in seen] == list(range(20))
    assert {thread for _, thread in seen} == {threading.main_thread()}


def test_a_call_from_the_gui_thread_is_queued_too(qtbot):
    seen = []
    gui_bridge().post(lambda: seen.append(1))
    assert seen == []
    qtbot.waitUntil(lambda: seen == [1])
