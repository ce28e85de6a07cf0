package daemon

import (
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/config"
)

// warn looks for what will hurt later, and says it while somebody reads the log.
func (d *Daemon) warn() {
	for _, c := range d.snapshot.Load().clusters {
		if err := c.CheckSource(); err != nil {
			d.log.Warn("connections of this cluster will fail until its source address exists",
				zap.String("cluster", c.Name), zap.Error(err))
		}
	}
	for _, line := range outlierWarnings(d.boot) {
		d.log.Warn(line)
	}
	if d.bindsSource() && readSysctl("net/ipv4/tcp_tw_reuse") == "0" {
		d.log.Warn("net.ipv4.tcp_tw_reuse is 0: upstream connections from one source address run out of ports " +
			"under load; set it to 1")
	}
}

func (d *Daemon) bindsSource() bool {
	for i := range d.boot.Clusters {
		if c := &d.boot.Clusters[i]; c.UpstreamBindAddress.IsValid() || c.Type == config.ClusterOriginalDst {
			return true
		}
	}
	return false
}

func readSysctl(name string) string {
	value, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(value))
}
