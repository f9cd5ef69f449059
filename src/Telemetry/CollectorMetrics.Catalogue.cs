using System.Diagnostics.Metrics;

namespace NetdumpCollector.Telemetry;

public sealed partial class CollectorMetrics
{
    private Histogram<double>? _exchanges;

    /// <summary>Makes the instruments of the fleet's catalogue; a collector without one has none of them.</summary>
    public void Observe(ICatalogueReadings catalogue)
    {
        _exchanges = Meter.CreateHistogram("netdump.catalog.exchange.duration", "s", "The exchange with the catalogue that each second takes: what is told and what is learned.", tags: null, s_latencies);
        _ = Gauge("netdump.catalog.up", "{catalogue}", "1 while the catalogue answers and has this node; else 0.", () => [new(catalogue is { IsUp: true, IsNameTaken: false } ? 1L : 0L)]);
        _ = Gauge("netdump.catalog.name.conflict", "{node}", "1 while another live node has this node's name: nothing of this one is in the catalogue.", () => [new(catalogue.IsNameTaken ? 1L : 0L)]);
        _ = Meter.CreateObservableGauge("netdump.catalog.lag", () => Known(catalogue.Lag?.TotalSeconds), "s", "Time since the catalogue last answered.");
        _ = Gauge("netdump.catalog.outbox.length", "{change}", "Changes of ended dumps that the catalogue has yet to be told of.", () => [new(catalogue.OutboxLength)]);
        _ = Count("netdump.catalog.outbox.refused", "{change}", "Changes that found no room in the outbox; they are found again when the directory is compared with the catalogue.", () => catalogue.OutboxRefused);
        _ = Count("netdump.catalog.statements", "{statement}", "Statements sent to the catalogue.", () => catalogue.Statements);
        _ = Count("netdump.catalog.failures", "{failure}", "Exchanges with the catalogue that failed, connecting to it among them.", () => catalogue.Failures);
        _ = Gauge("netdump.catalog.nodes", "{node}", "Nodes of the fleet as the catalogue has them, by state.", () => catalogue.Nodes.Select(state => Labelled(state.Count, "state", state.State)));
    }

    /// <summary>The catalogue answered after this time.</summary>
    public void CatalogueAnswered(TimeSpan took) => _exchanges?.Record(took.TotalSeconds);
}
