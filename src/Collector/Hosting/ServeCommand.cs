using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Otlp;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>Hosts the server.</summary>
internal static class ServeCommand
{
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(10);

    /// <summary>What the end of the process takes besides.</summary>
    private static readonly TimeSpan s_slack = TimeSpan.FromSeconds(5);

    /// <summary>Serves until <see cref="CommandIo.Stop"/>, leaves running dumps to the next start, and returns an exit code of <see cref="ExitCode"/>.</summary>
    /// <exception cref="UsageException">Files that settings name are not what they have to be.</exception>
    public static int Run(SettingsResolution resolved, CommandIo io)
    {
        var settings = resolved.ToSettings();
        bool progress = settings.Progress switch
        {
            ProgressDisplay.On => true,
            ProgressDisplay.Off => false,
            _ => settings.LogFormat == LogFormat.Text && !Console.IsOutputRedirected,
        };
        FileCreationMask.Restrict();
        var otlp = OtlpSignals.Of(io.Environment);
        using var logging = ServerLogging.Create(settings.LogFormat, progress, otlp.Logs);
        try
        {
            var target = WebhookTarget.Of(settings);
            CheckStore(settings);
            var cluster = FleetHost.AddressOf(settings.Cluster, settings.ClusterFile);
            var log = logging.CreateLogger("netdump-collector");
            foreach (var (idle, missing) in resolved.Idle())
                CollectorLog.SettingIdle(log, idle.Setting.Name, idle.Source, missing);
            using var pidFile = settings.PidFile is string path ? PidFile.Create(path) : null;
            using var metrics = new CollectorMetrics(TimeProvider.System);
            // Dumps of an earlier process may end while the server starts.
            using var events = target is null ? null : metrics.Events.Subscribe(WebhookSender.Capacity);
            using var server = Server.Start(settings, metrics, logging);
            CollectorLog.Waiting(log);
            using var service = ServiceReport.Start(io.Environment, server.Loops, metrics, log);
            _ = Task.Run(server.CatchUp, CancellationToken.None)
                .ContinueWith(failed => CollectorLog.ActorFailed(log, "left-overs", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            using var webhook = target is null ? null : new WebhookSender(target, events!, metrics, TimeProvider.System, log, WebhookSender.Handler());
            using var export = OtlpHost.Start(otlp, server, logging as CopyingLoggers, log);
            using var fleet = FleetHost.Start(cluster, settings, server, log);
            using var http = HttpHost.Start(settings, server, fleet?.View, log);
            ServerProgress.Run(metrics, progress, log, io.Stop);

            CollectorLog.ShuttingDown(log);
            service?.Stopping(TimeSpan.FromSeconds(settings.DrainSeconds) + s_stopTimeout + s_slack);
            if (settings.DrainSeconds > 0)
                server.Drain(TimeSpan.FromSeconds(settings.DrainSeconds));
            if (!server.Stop(s_stopTimeout, () =>
                {
                    fleet?.Leave();
                    export?.Flush();
                }))
            {
                CollectorLog.ShutdownTimedOut(log, s_stopTimeout.TotalSeconds);
                return ExitCode.Failed;
            }

            return ExitCode.Ok;
        }
        catch (Exception e) when (e is StorageException or EndpointException or PidFileException or HostMapException or WebhookSecretException)
        {
            io.Complain(e.Message);
            return ExitCode.CannotStart;
        }
    }

    /// <exception cref="UsageException">No upload would work, whatever the store says.</exception>
    private static void CheckStore(CollectorSettings settings)
    {
        try
        {
            settings.Store?.Check();
        }
        catch (StorageException e)
        {
            throw new UsageException(e.Message);
        }
    }
}
