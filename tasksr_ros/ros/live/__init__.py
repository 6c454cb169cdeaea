"""What a running node does with the frames of its cameras, without ROS 2.

```
message ─► stamps.py ─► scheduler.py ─► worker.py (decode, pipeline, publish) ─► accounts.py
           is its time   latest frame    one thread, frames of several            what became of
           believable?   of each camera  cameras in one engine call               every frame
```
``health.py`` turns the accounts into OK, WARN and ERROR.
"""
