package compare

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/sluiceproxy/sluice/bench"
)

// thisMachine describes where the comparison runs.
func thisMachine() (bench.Machine, error) {
	m := bench.Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	host, err := os.Hostname()
	if err != nil {
		return m, fmt.Errorf("asking for the name of this machine: %w", err)
	}
	m.Host = host
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, fmt.Errorf("asking for the kernel's release: %w", err)
	}
	m.Kernel = strings.TrimSpace(string(kernel))
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return m, fmt.Errorf("opening /proc: %w", err)
	}
	memory, err := proc.Meminfo()
	if err != nil {
		return m, fmt.Errorf("asking for the machine's memory: %w", err)
	}
	if memory.MemTotal != nil {
		m.Memory = *memory.MemTotal << 10 // the kernel's kB are KiB
	}
	// Some architectures name no model.
	if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	return m, nil
}
