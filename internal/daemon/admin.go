package daemon

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/proxy"
)

// listen opens the ports for people, Prometheus and probes. Nobody is answered yet.
func (d *Daemon) listen() error {
	exporter, err := stats.NewExporter(stats.NewCollector(d.registry, d.gather))
	if err != nil {
		return err
	}
	log := d.log.Named("admin")
	d.servers = append(d.servers, admin.New(admin.Options{
		Address:     d.boot.Admin.Address,
		Log:         log,
		State:       d.adminState,
		Server:      d.serverInfo,
		Listeners:   d.listenerInfos,
		Clusters:    d.clusterInfos,
		Connections: d.connectionInfos,
		ConfigDump:  d.configDump,
		Stats:       exporter.Stats(),
		Prometheus:  exporter.Prometheus(),
		Level:       d.options.Level,
		Quit:        d.Quit,

		Reload:         d.reloadByAdmin,
		FailReadiness:  d.unready.Store,
		DrainListeners: d.drainByAdmin,
	}))
	if d.boot.Metrics.Address != "" {
		d.servers = append(d.servers, admin.NewMetricsServer(admin.MetricsOptions{
			Address: d.boot.Metrics.Address, Prometheus: exporter.Prometheus(), Log: log,
		}))
	}
	if d.boot.Readiness.Address != "" {
		d.servers = append(d.servers, admin.NewReadinessServer(admin.ReadinessOptions{
			Address: d.boot.Readiness.Address, Ready: d.ready, App: d.appStatus, Log: log,
		}))
	}
	for _, s := range d.servers {
		if fd, ok := d.inherited.server(s); ok {
			err = s.Adopt(fd)
		} else {
			err = s.Listen()
		}
		if err != nil {
			return err
		}
	}
	d.inherited.closeRest(d.log)
	return nil
}

// answer begins to serve the HTTP ports.
func (d *Daemon) answer() {
	for _, s := range d.servers {
		s.Serve()
	}
}

func (d *Daemon) closeServers() {
	ctx, cancel := context.WithTimeout(context.Background(), serverCloseTime)
	defer cancel()
	for _, s := range d.servers {
		if err := s.Shutdown(ctx); err != nil {
			d.log.Warn("closing an HTTP port", zap.Error(err))
		}
	}
	d.servers = nil
}

func (d *Daemon) adminState() admin.State {
	switch d.state.Load() {
	case live:
		if d.unready.Load() {
			return admin.Draining // as Envoy calls it
		}
		return admin.Live
	case draining:
		return admin.Draining
	case initializing:
		return admin.Initializing
	}
	return admin.PreInitializing
}

func (d *Daemon) ready() (reason string, ready bool) {
	state := d.adminState()
	return string(state), state == admin.Live
}

func (d *Daemon) serverInfo() admin.ServerInfo {
	return admin.ServerInfo{
		Version:     d.options.Version,
		Start:       d.started,
		FirstStart:  d.began,
		NodeID:      d.boot.Node.ID,
		NodeCluster: d.boot.Node.Cluster,
		Options: map[string]any{
			"config_path":   d.options.Source,
			"concurrency":   len(d.loops),
			"restart_epoch": d.epoch,
			"log_level":     d.options.Level.String(),
			"drain_time":    d.snapshot.Load().Config.Drain.Time.String(),
			"admin_address": d.boot.Admin.Address,
		},
	}
}

func (d *Daemon) listenerInfos() []admin.ListenerInfo {
	var infos []admin.ListenerInfo
	for _, ln := range d.snapshot.Load().Config.Listeners {
		infos = append(infos, admin.ListenerInfo{Name: ln.Name, Address: ln.Address})
	}
	return infos
}

func (d *Daemon) clusterInfos() []admin.ClusterInfo {
	var infos []admin.ClusterInfo
	now := d.snapshot.Load()
	for i := range now.Config.Clusters {
		cfg := &now.Config.Clusters[i]
		info := admin.ClusterInfo{Name: cfg.Name, MaxConnections: cfg.CircuitBreakers.MaxConnections, MaxPending: cfg.CircuitBreakers.MaxPending}
		upstream := now.clusters[cfg.Name]
		if average, ok := upstream.Average(); ok {
			info.Outliers = &admin.OutlierInfo{Average: average.SuccessRate, Threshold: average.EjectionThreshold}
		}
		for _, e := range upstream.Endpoints() {
			info.Endpoints = append(info.Endpoints, endpointInfo(&e))
		}
		infos = append(infos, info)
	}
	return infos
}

func endpointInfo(e *cluster.EndpointInfo) admin.EndpointInfo {
	return admin.EndpointInfo{
		Address:                e.Address,
		Hostname:               e.Hostname,
		HealthFlags:            e.HealthFlags,
		Weight:                 e.Weight,
		Priority:               e.Priority,
		Region:                 e.Locality.Region,
		Zone:                   e.Locality.Zone,
		SubZone:                e.Locality.SubZone,
		CxActive:               uint64(max(e.ActiveConnections, 0)),
		CxTotal:                e.TotalConnections,
		CxConnectFail:          e.ConnectFailures,
		LocalOriginSuccessRate: e.SuccessRate,
	}
}

// connectionInfos asks each loop for its connections, on its own thread.
func (d *Daemon) connectionInfos(query admin.ConnectionQuery) []admin.ConnectionInfo {
	var infos []admin.ConnectionInfo
	for number, loop := range d.loops {
		var list []proxy.Info
		loop.Do(func() { list = d.workers[number].Inspect(query.Cluster, query.Limit-len(infos)) })
		for _, c := range list {
			infos = append(infos, admin.ConnectionInfo{
				ID:               c.ID,
				Listener:         c.Listener,
				FilterChain:      c.Chain,
				Cluster:          c.Cluster,
				DownstreamRemote: c.Downstream,
				DownstreamLocal:  c.Original,
				UpstreamLocal:    c.UpstreamLocal,
				UpstreamHost:     c.Upstream,
				BytesReceived:    c.Received,
				BytesSent:        c.Sent,
				Age:              c.Age,
				Idle:             c.Idle,
				Engine:           c.Engine,
			})
		}
	}
	return infos
}

func (d *Daemon) configDump() admin.ConfigDump {
	now := d.snapshot.Load()
	dump := admin.ConfigDump{
		Version:     fmt.Sprint(now.made.UnixNano()),
		LastUpdated: now.made,
		Config:      now.Dump(),
	}
	d.reloads.seen.Lock()
	defer d.reloads.seen.Unlock()
	if r := d.reloads.rejected; r != nil {
		dump.Rejected = &admin.Rejected{At: r.at, Why: r.err.Error()}
	}
	return dump
}

// appStatus is what is known of the application's port.
func (d *Daemon) appStatus(port uint16) (ok bool, reason string, known bool) {
	app := d.upstreams.app.Load()
	if app == nil {
		return false, "", false
	}
	return app.Status(port)
}
