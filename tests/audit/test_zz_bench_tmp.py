import time, pytest
from django.db import transaction, connection
from audit.actions import record, record_all, Line
@pytest.mark.django_db(transaction=True)
def test_bench():
    for label, n, f in [("record", 500, lambda: record("incident.opened", actor="system:intake", target="INC-1", incident=1, after={"a":1}))]:
        t=time.process_time()
        for _ in range(n):
            with transaction.atomic(): f()
        dt=time.process_time()-t
        print(connection.vendor, label, round(n/dt), "/s", round(dt/n*1e3,2),"ms")
    t=time.process_time()
    for _ in range(10):
        with transaction.atomic(): record_all([Line("a.b","x") for _ in range(500)])
    print("batch", round(5000/(time.process_time()-t)),"/s")
    from audit import ledger
    t=time.process_time(); r=ledger.verify(); print("verify", round(r.entries/(time.process_time()-t)),"/s", r.broken)
