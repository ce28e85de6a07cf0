// Package systemd speaks the three protocols of systemd that concern a daemon:
// socket activation and descriptors that were kept over a restart
// (sd_listen_fds(3)), notifications of its state (sd_notify(3)), and the watchdog
// (sd_watchdog_enabled(3)). Without systemd every call does nothing.
//
//	passed, err := systemd.Descriptors(os.Getenv, os.Getpid())
//	notifier, err := systemd.New(os.Getenv("NOTIFY_SOCKET"))
//	notifier.Ready("serving")
//	defer notifier.Stopping("draining")
//
// The variables concern this process only: who starts other programs takes
// Variables out of their environment.
package systemd
