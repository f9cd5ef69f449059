using System.Diagnostics.Metrics;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Telemetry.Tests.Prometheus;

public sealed class MetricNameTests : IDisposable
{
    private readonly Meter _meter = new("test");

    public void Dispose() => _meter.Dispose();

    [Theory]
    [InlineData("netdump.received", "By", "netdump_received_bytes", "netdump_received_bytes_total")]
    [InlineData("netdump.received.bytes", "By", "netdump_received_bytes", "netdump_received_bytes_total")]
    [InlineData("netdump.busy.time", "s", "netdump_busy_time_seconds", "netdump_busy_time_seconds_total")]
    [InlineData("netdump.heralds", "{herald}", "netdump_heralds", "netdump_heralds_total")]
    [InlineData("netdump.heralds.total", null, "netdump_heralds", "netdump_heralds_total")]
    [InlineData("a-b/c d", "1", "a_b_c_d", "a_b_c_d_total")]
    public void Of_a_counter(string name, string? unit, string family, string sample) =>
        Assert.Equal((family, sample, MetricType.Counter), Parts(MetricName.Of(_meter.CreateCounter<long>(name, unit))));

    [Theory]
    [InlineData("netdump.sessions", "{session}", "netdump_sessions")]
    [InlineData("netdump.storage.free", "By", "netdump_storage_free_bytes")]
    [InlineData("netdump.storage.used", "1", "netdump_storage_used_ratio")]
    [InlineData("dotnet.assembly.count", "{assembly}", "dotnet_assembly")]
    public void Of_a_gauge(string name, string unit, string expected) =>
        Assert.Equal((expected, expected, MetricType.Gauge), Parts(MetricName.Of(_meter.CreateObservableGauge(name, () => 1, unit))));

    [Fact]
    public void Of_a_histogram() =>
        Assert.Equal(("netdump_took_seconds", "netdump_took_seconds", MetricType.Histogram), Parts(MetricName.Of(_meter.CreateHistogram<double>("netdump.took", "s"))));

    private static (string Family, string Sample, MetricType Type) Parts(MetricName name) => (name.Family, name.Sample, name.Type);
}
