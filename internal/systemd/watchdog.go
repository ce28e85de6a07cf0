package systemd

import "time"

// WatchdogInterval is how often the process pid should call Notifier.Watchdog:
// half of WatchdogSec=, as sd_watchdog_enabled(3) recommends; 0 when the service
// manager does not watch it.
func WatchdogInterval(getenv func(string) string, pid int) (time.Duration, error) {
	microseconds, err := number(getenv, "WATCHDOG_USEC")
	if err != nil || microseconds == 0 {
		return 0, err
	}
	if of := getenv("WATCHDOG_PID"); of != "" && !concerns(of, pid) {
		return 0, nil
	}
	return time.Duration(microseconds) * time.Microsecond / 2, nil
}
