package usage

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"github.com/sluiceproxy/sluice/bench"
)

// Sample is what processes had used at one moment.
type Sample struct {
	processes []process
}

// process is one of them.
type process struct {
	pid     int
	name    string
	started uint64 // ticks since boot: a pid that is used again has another

	user, system time.Duration // by stat
	ran          time.Duration // by schedstat, of the threads that are there
	voluntary    uint64
	involuntary  uint64
	threads      int
	memory       bench.Memory
}

// Take samples the processes pids and all that descend from them. Memory is read
// first and processor time last, as the former takes longer. Errors name the
// process that is not there.
func Take(pids []int) (Sample, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return Sample{}, fmt.Errorf("reading what processes use: %w; mount /proc", err)
	}
	return take(fs, pids)
}

func take(fs procfs.FS, pids []int) (Sample, error) {
	if len(pids) == 0 {
		return Sample{}, nil
	}
	all, err := family(fs, pids)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{processes: make([]process, len(all))}
	for i, pid := range all {
		if err := s.processes[i].readMemory(fs, pid); err != nil {
			return Sample{}, err
		}
	}
	for i := range s.processes {
		if err := s.processes[i].readTimes(fs); err != nil {
			return Sample{}, err
		}
	}
	return s, nil
}

// family is pids and their descendants, each once.
func family(fs procfs.FS, pids []int) ([]int, error) {
	running, err := fs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	children := make(map[int][]int)
	for _, p := range running {
		stat, err := p.Stat()
		if err != nil || stat.State == "Z" {
			continue // has ended since, or as good as
		}
		children[stat.PPID] = append(children[stat.PPID], p.PID)
	}
	var all []int
	for queue := slices.Clone(pids); len(queue) > 0; queue = queue[1:] {
		if !slices.Contains(all, queue[0]) {
			all = append(all, queue[0])
			queue = append(queue, children[queue[0]]...)
		}
	}
	return all, nil
}

// Memory is what the processes occupy together.
func (s Sample) Memory() bench.Memory {
	var sum bench.Memory
	for _, p := range s.processes {
		sum.RSS += p.memory.RSS
		sum.PSS += p.memory.PSS
	}
	return sum
}

// Empty says whether the sample is of no process.
func (s Sample) Empty() bool { return len(s.processes) == 0 }
