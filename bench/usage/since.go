package usage

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// Since is what was used between the two samples; memory and numbers are those
// of s, and Memory of before is Usage.Before. A process that came in between
// counts from its beginning. It is an error, which names it, when one has gone:
// what it used is lost.
func (s Sample) Since(before Sample) (bench.Usage, error) {
	now := make(map[int]process, len(s.processes))
	for _, p := range s.processes {
		now[p.pid] = p
	}
	earlier := make(map[int]process, len(before.processes))
	for _, p := range before.processes {
		if then, ok := now[p.pid]; !ok || then.started != p.started {
			return bench.Usage{}, fmt.Errorf("process %d (%s) has ended while it was measured; look into its log", p.pid, p.name)
		}
		earlier[p.pid] = p
	}
	used := bench.Usage{Memory: s.Memory(), Before: before.Memory(), Processes: len(s.processes)}
	for _, p := range s.processes {
		p.add(&used, earlier[p.pid])
	}
	return used, nil
}

// add counts what p has used since it was like before.
func (p *process) add(to *bench.Usage, before process) {
	user, system := p.times(before)
	to.User += user
	to.System += system
	to.Voluntary += p.voluntary - min(before.voluntary, p.voluntary)
	to.Involuntary += p.involuntary - min(before.involuntary, p.involuntary)
	to.Threads += p.threads
}

// times is user and system time since before; the package comment says which
// source is believed when.
func (p *process) times(before process) (user, system time.Duration) {
	user, system = p.user-before.user, p.system-before.system
	sum, precise := user+system, p.ran-before.ran
	// Each of the four times is cut to a tick, and schedstat may lag behind by
	// a tick of each thread that runs.
	hidden := 2*tick + time.Duration(p.threads)*tick
	if precise <= 0 || (precise-sum).Abs() > hidden {
		return user, system
	}
	if sum == 0 {
		return 0, precise
	}
	user = time.Duration(float64(user) / float64(sum) * float64(precise))
	return user, precise - user
}
