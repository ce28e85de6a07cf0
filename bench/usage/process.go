package usage

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// tick is the unit of times in /proc/PID/stat, USER_HZ in time(7). It is 10 ms on
// every architecture that Go runs on.
const tick = 10 * time.Millisecond

func (p *process) readMemory(fs procfs.FS, pid int) error {
	p.pid = pid
	proc, err := fs.Proc(pid)
	if err != nil {
		return fmt.Errorf("process %d is not running: %w", pid, err)
	}
	rollup, err := proc.ProcSMapsRollup()
	if err != nil {
		return fmt.Errorf("reading the memory of process %d: %w; has it ended, or is it another user's?", pid, err)
	}
	p.memory.RSS, p.memory.PSS = rollup.Rss, rollup.Pss
	return nil
}

func (p *process) readTimes(fs procfs.FS) error {
	proc, err := fs.Proc(p.pid)
	if err != nil {
		return fmt.Errorf("process %d has ended: %w", p.pid, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return fmt.Errorf("process %d has ended: %w", p.pid, err)
	}
	p.name = stat.Comm
	if stat.State == "Z" {
		return fmt.Errorf("process %d (%s) has ended", p.pid, p.name)
	}
	p.started, p.threads = stat.Starttime, stat.NumThreads
	p.user = time.Duration(stat.UTime) * tick
	p.system = time.Duration(stat.STime) * tick
	return p.readThreads(fs)
}

// readThreads sums what is told for each thread only. A thread that ends
// meanwhile is left out.
func (p *process) readThreads(fs procfs.FS) error {
	threads, err := fs.AllThreads(p.pid)
	if err != nil {
		return fmt.Errorf("listing the threads of process %d (%s): %w", p.pid, p.name, err)
	}
	for _, thread := range threads {
		status, err := thread.NewStatus()
		if err != nil {
			continue
		}
		p.voluntary += status.VoluntaryCtxtSwitches
		p.involuntary += status.NonVoluntaryCtxtSwitches
		if schedule, err := thread.Schedstat(); err == nil {
			p.ran += time.Duration(schedule.RunningNanoseconds)
		}
	}
	return nil
}
