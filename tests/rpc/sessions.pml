/* The session and lease protocol of docs/formats/net.md as a model: one board, one tuner, a link that
 * is cut at any moment and loses what it carries, a board that reboots, a holder that gives up.
 * tests/rpc/check_sessions.sh runs spin over it.
 *
 * What is checked:
 *   no job of a holder is committed twice, and none with the result of another;
 *   no job reaches a board that has lost what the job needs;
 *   no deadlock;
 *   every job ends, whatever is cut, rebooted and given up finitely often.
 * Bounds: JOBS jobs, CUTS cuts and duplicates, BOOTS reboots, GIVES give-ups: enough for each to meet
 * each. check_sessions.sh also breaks the model in ways that each of these must notice. */
#define JOBS 2
#define CUTS 3
#define BOOTS 2
#define GIVES 1

mtype = { JOIN, WELCOME, JOB, RESULT, ACK, CANCEL }

/* Frames: type, a job's id (JOIN: boot), link epoch. A cut raises the epoch; what older links carry is
 * lost. Each direction holds a few frames. */
chan up = [4] of { mtype, byte, byte };
chan down = [4] of { mtype, byte, byte };

byte epoch = 0;      /* of the link that both ends last agreed on */
bool linked = false; /* a link is up */
byte cuts = 0, boots = 0, gives = 0;

/* the board */
byte boot = 1;
byte running = 0, held = 0;
bool joined = false, dials = true;

/* the tuner: its seat and the holder behind it */
byte seat_boot = 0;
bool seat_net = false; /* the seat has a connection that has joined */
byte job = 0;          /* id under way, 0: none */
byte next_id = 1;
byte wanted = 1;       /* the holder's current job, 1..JOBS */
byte committed[8];     /* times each of the holder's jobs was committed */
byte meant[32];        /* which of them each id was sent for */
byte blobs_at[32];     /* the boot that has the blobs of each id */
bool finished = false;
bool fit = true;
byte cancelled = 0;

inline drop_all(c) {
  do
  :: nempty(c) -> c ? _, _, _
  :: empty(c) -> break
  od
}

/* The link breaks: both ends find out in their own time (the seat and the board look at `epoch`). */
proctype network() {
end:
  do
  :: atomic { cuts < CUTS && linked && !finished ->
       cuts++; linked = false; drop_all(up); drop_all(down) }
  :: atomic { boots < BOOTS && !finished ->   /* the machine reboots, or its worker dies */
       boots++; boot++; running = 0; held = 0; joined = false; dials = true;
       linked = false; drop_all(up); drop_all(down) }
  :: finished -> break
  od
}

inline renew() {
  boot++; running = 0; held = 0; joined = false; dials = true; linked = false;
  drop_all(up); drop_all(down)
}

proctype board() {
  mtype m; byte id, e;
end:
  do
  :: atomic { !linked && !seat_net ->          /* dial; the seat has seen the old link's end */
       linked = true; epoch++; joined = false; up ! JOIN, boot, epoch }
  :: atomic { linked && nempty(down) && len(up) < 4 ->
       down ? m, id, e;
       if
       :: m == WELCOME ->
            joined = true;
            if
            :: running != 0 && running != id -> renew()
            :: else -> if :: held != 0 && held != id -> held = 0 :: else -> skip fi
            fi
       :: m == JOB ->
            if
            :: id == running -> skip
            :: id == held -> up ! RESULT, id, e
            :: id != running && id != held && running != 0 -> renew()
            :: else -> assert(blobs_at[id] == boot); held = 0; running = id
            fi
       :: m == ACK -> if :: id == held -> held = 0 :: else -> skip fi
       :: m == CANCEL -> if :: id == running && running != 0 -> renew() :: else -> skip fi
       :: else -> assert(false)
       fi }
  :: atomic { running != 0 && len(up) < 4 ->   /* the worker answers */
       held = running; running = 0;
       if :: linked && joined -> up ! RESULT, held, epoch :: else -> skip fi }
  :: atomic { linked && joined && held != 0 && len(up) < 4 && cuts < CUTS ->
       cuts++; up ! RESULT, held, epoch }      /* a duplicate, now and then */
  od
}

proctype tuner() {
  mtype m; byte id, e;
  do
  :: atomic { nempty(up) && len(down) < 3 ->
       up ? m, id, e;
       if
       :: m == JOIN ->
            if
            :: id != seat_boot || job == 0 -> job = 0  /* lost its state: the lease ends */
            :: else -> skip
            fi;
            seat_boot = id; seat_net = true; fit = true; cancelled = 0;
            down ! WELCOME, job, e;
            if :: job != 0 -> down ! JOB, job, e :: else -> skip fi
       :: m == RESULT ->
            if
            :: job != 0 && id == job -> committed[wanted]++;
                 assert(committed[wanted] == 1 && meant[id] == wanted);
                 job = 0; wanted++;
                 down ! ACK, id, e
            :: else ->
                 if :: id == cancelled && cancelled != 0 -> cancelled = 0; fit = true :: else -> skip fi;
                 down ! ACK, id, e
            fi
       :: else -> assert(false)
       fi }
  :: atomic { seat_net && linked && fit && job == 0 && wanted <= JOBS && len(down) < 4 ->
       job = next_id; next_id++; meant[job] = wanted; blobs_at[job] = seat_boot;             /* the holder sends (again) */
       down ! JOB, job, epoch }
  :: atomic { seat_net && !linked && empty(up) -> seat_net = false }  /* the loss is noticed; away */
  :: atomic { !seat_net && job != 0 && gives < GIVES -> gives++; job = 0 } /* away for too long */
  :: atomic { seat_net && linked && job != 0 && gives < GIVES && len(down) < 4 -> /* holder gives up */
       gives++; down ! CANCEL, job, epoch; cancelled = job; fit = false; job = 0 }
  :: atomic { wanted > JOBS && job == 0 -> finished = true; break }
  od
}

init {
  atomic { run board(); run tuner(); run network() }
}

/* Whatever happens (cuts, reboots and give-ups being finite), all jobs come to their end. */
ltl every_job_ends { <> finished }
