"""Help for your own tests: an event loop with virtual time, and a scripted backend. No network, no real waiting.

    def test_twelve_prompts_all_come_back() -> None:
        async def main() -> None:
            async with VeoClient(Settings(output_dir=tmp), backend=ScriptedBackend()) as veo:
                clips = await veo.generate_many(f"prompt {n}" for n in range(12))
            assert all(clip.succeeded for clip in clips)

        run_virtual(main())

aveo3's own tests use both.
"""

from aveo3.testing.clock import VirtualTimeLoop, run_virtual
from aveo3.testing.scripted import ScriptedBackend

__all__ = ["ScriptedBackend", "VirtualTimeLoop", "run_virtual"]
