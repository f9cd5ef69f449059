using System.Diagnostics;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Actors.Storage;

/// <summary>What a dump that lies under its final names sets off.</summary>
internal static class CommitAftermath
{
    /// <summary>Counts it, tells of it, and has it hashed, stored and handed to the script.</summary>
    /// <param name="environment">Who does all that.</param>
    /// <param name="dump">The dump.</param>
    /// <param name="host">How logs call its host.</param>
    /// <param name="client">The host.</param>
    /// <param name="trace">The dump's trace, which the script's span joins.</param>
    public static DumpEnded Follow(SessionEnvironment environment, CommittedDump dump, string host, Ipv4 client, ActivityContext trace)
    {
        if (dump.PointerProblem is string problem)
            CollectorLog.NotPointedTo(environment.Logger, host, client, dump.CoreFile, problem);
        var manifest = dump.Manifest;
        environment.Metrics.DumpEnded(manifest.Status, manifest.CoveredBytes, manifest.MissingBytes, manifest.Relocated, manifest.DurationSeconds);
        var ended = new DumpEnded(manifest.EndedAt, manifest.Id, client, manifest.Host, manifest.Status, manifest.Reason, manifest.Bytes, manifest.MissingBytes,
            manifest.Kdh?.PanicString, dump.CoreFile, manifest.DurationSeconds);
        environment.Metrics.Events.Publish(ended);
        environment.Retention?.Tell(new RetentionActor.DumpCommitted());
        environment.Store?.Tell(new StoreActor.DumpReady(dump.ManifestPath));
        environment.Stitching?.Tell(new StitchActor.DumpReady(dump.ManifestPath));
        environment.Scripts?.Tell(new ScriptActor.DumpCommitted(dump, client) { Span = trace });
        if (manifest.HashState == HashState.Pending)
            environment.Hashes?.Tell(new HashActor.HashDump(dump.ManifestPath));
        return ended;
    }
}
