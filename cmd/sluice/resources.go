package main

import (
	"io/fs"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/cgroup"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// memoryPercent is how much of its control group's memory the Go heap may
// fill. The rest is for what the runtime does not count: socket buffers of the
// kernel, which the group pays for, and the program itself.
const memoryPercent = 90

// useResources takes what the surroundings allow, and says in the log what
// that is. root is the file system, from its top.
func useResources(env *env, root fs.FS, cfg *config.Config, log *zap.Logger) {
	useMemory(env, root, log)
	reportDescriptors(sock.DescriptorLimit(), cfg.Limits.MaxConnections, log)
}

// useMemory has the garbage collector work harder near the limit of the
// control group, instead of growing until the kernel kills the process. A
// GOMEMLIMIT of the environment stands, "off" too: the Go runtime has read it.
func useMemory(env *env, root fs.FS, log *zap.Logger) {
	if own := env.getenv("GOMEMLIMIT"); own != "" {
		log.Info("memory limit of the environment", zap.String("GOMEMLIMIT", own))
		return
	}
	limit, err := cgroup.MemoryLimit(root)
	if err != nil {
		log.Warn("the memory limit of the control group is not known, so the heap has none; GOMEMLIMIT sets one", zap.Error(err))
		return
	}
	if limit.Bytes == 0 {
		log.Info("no memory limit: neither GOMEMLIMIT nor a control group has one")
		return
	}
	heap := max(limit.Bytes/100*memoryPercent, 1)
	debug.SetMemoryLimit(heap)
	log.Info("memory limit of the control group", zap.Int64("bytes", heap), zap.Int64("of", limit.Bytes), zap.String("file", limit.File))
}

// reportDescriptors says how many descriptors there are, and that they are too
// few if limits.max_connections cannot be reached: each connection has two.
func reportDescriptors(limit, connections int, log *zap.Logger) {
	if limit == 0 {
		log.Warn("the limit of descriptors is not known")
		return
	}
	log.Info("limit of descriptors", zap.Int("descriptors", limit))
	if wanted := 2 * connections; wanted > limit {
		log.Warn("there are not enough descriptors for limits.max_connections; raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn)",
			zap.Int("descriptors", limit), zap.Int("wanted", wanted))
	}
}
