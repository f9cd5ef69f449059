using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Aftermath;

/// <summary>Uploads one dump after the other; there are as many as dumps may be uploaded at the same time. It waits for a store that does not work, so its threads are for nothing else.</summary>
internal sealed class UploadActor(StoreSetup setup, StoreHealth health, ActorRef<StoreActor.Message> coordinator, CancellationToken stopping) : Actor<UploadActor.Message>
{
    public abstract record Message;

    /// <summary>A dump that is to be in the store.</summary>
    public sealed record Upload(CatalogedDump Dump) : Message;

    /// <summary>Gives up what nobody went on with for so long.</summary>
    public sealed record GiveUpStale(TimeSpan Age) : Message;

    private PatientStore? _store;

    protected override void Receive(Message message)
    {
        if (stopping.IsCancellationRequested)
            return;
        try
        {
            _store ??= new(Open(), health, _ => setup.Metrics.StoreFailed(), Wait);
            switch (message)
            {
                case Upload upload:
                    Send(_store, upload.Dump);
                    break;
                case GiveUpStale stale:
                    GiveUp(_store, stale.Age);
                    break;
            }
        }
        catch (OperationCanceledException)
        {
            // The next start goes on.
        }
        catch (Exception e)
        {
            // Whatever it is: the dump is tried again, and this one has something else to do.
            if (message is Upload upload)
                coordinator.Tell(new StoreActor.UploadFailed(upload.Dump.Manifest.Id, e.Message));
            if (e is not ObjectStoreException)
                throw;
        }
    }

    protected override void PostStop(Exception? failure) => _store?.Dispose();

    private void Send(PatientStore store, CatalogedDump dump)
    {
        string id = dump.Manifest.Id;
        try
        {
            var outcome = new DumpUpload(store, setup.Options, setup.Time, new Meter(setup.Metrics)).Run(setup.Root, dump, stopping);
            coordinator.Tell(outcome == UploadOutcome.Elsewhere ? new StoreActor.UploadElsewhere(id) : new StoreActor.Uploaded(id));
        }
        catch (StorageException e)
        {
            setup.Metrics.StoreRefused();
            coordinator.Tell(new StoreActor.UploadFailed(id, e.Message));
        }
    }

    /// <summary>A client of the store; what it needs to know (a region, credentials of the machine) may come later.</summary>
    private IObjectStore Open()
    {
        while (true)
        {
            while (health.Wait is { Ticks: > 0 } left)
                Wait(left);
            try
            {
                return setup.Open(stopping);
            }
            catch (ObjectStoreException e)
            {
                setup.Metrics.StoreFailed();
                health.Failed(e);
            }
        }
    }

    private void GiveUp(PatientStore store, TimeSpan age)
    {
        var before = setup.Time.GetUtcNow() - age;
        ListedUpload[] stale = [.. store.Uploads(setup.Options.Location.Prefix).Where(upload => upload.BegunAt < before)];
        foreach (var upload in stale)
            store.AbortUpload(upload.Key, upload.UploadId);
        if (stale.Length > 0)
            CollectorLog.StaleUploadsGivenUp(setup.Logger, stale.Length, age.TotalDays);
    }

    private void Wait(TimeSpan time)
    {
        stopping.WaitHandle.WaitOne(time);
        stopping.ThrowIfCancellationRequested();
    }

    private sealed class Meter(CollectorMetrics metrics) : IUploadMeter
    {
        public void PartSent(long bytes) => metrics.StorePartSent(bytes);

        public void PartReused(long bytes) => metrics.StorePartReused();
    }
}
