"""The catalogue of the sample shop: what it sells, and which purchases lead to which.

Twenty journeys of five product types each, such as camera → lens → tripod → bag → frame, run within
and across departments. Every product type is made in the same five styles, three items each:
20 × 5 × 5 × 3 = 1,500 items. Their texts tell the journey's purpose, the type and the style.
"""

from __future__ import annotations

import numpy as np

from model_export.contract.catalog import Item

STYLES = {
    "Heritage": ("made the old way, to last a lifetime", 1.4),
    "Compact": ("small and light, at home in narrow rooms and full bags", 0.8),
    "Pro": ("built for people who use it every working day", 1.9),
    "Eco": ("made of recycled and renewable materials", 1.1),
    "Nordic": ("plain lines, pale colours and nothing superfluous", 1.0),
}
"""Style: how a description puts it, and what it does to the price."""

ITEMS_PER_STYLE = 3

DEPARTMENTS = {
    "Photo": ("Lumora Veltin Obscura Kestrel", "4K Sealed Carbon Titanium Quick-Lock Wide"),
    "Outdoor": (
        "Norvik Fjell Cairn Tarnhill",
        "Waterproof Ultralight Ripstop Alpine Trail Four-Season",
    ),
    "Kitchen": ("Brambury Castello Oakhearth Pannier", "Copper Walnut Steel Ceramic Matte Bamboo"),
    "Garden": (
        "Greenlow Thistle Rootwell Meadowby",
        "Cedar Galvanised Organic Hardy Terracotta Bronze",
    ),
    "Audio": ("Sonnet Halden Vibrato Quietude", "Walnut Matte Low-Noise Balanced Reference Silver"),
    "Books": (
        "Larkspur Penhallow Quill Inkwell",
        "Illustrated Pocket Hardcover Annotated Spiral Revised",
    ),
    "Pets": (
        "Pawlby Whiskerly Tidepool Muttsworth",
        "Washable Large Small Calm Chew-Proof Natural",
    ),
    "Home Office": (
        "Deskwright Stillwater Ergon Plumb",
        "Oak Felt Aluminium Quiet Adjustable Black",
    ),
    "Home Decor": ("Hearthside Galleria Linden Ashby", "Brass Oak Linen White Black Walnut"),
    "Fitness": (
        "Stridewell Lotusway Pacer Corewell",
        "Cork Reflective Breathable Extra-Grip Soft Firm",
    ),
    "Travel": (
        "Wayfare Transito Globus Roamly",
        "Expandable Foldable Four-Wheel Lockable Grey Navy",
    ),
    "Craft": (
        "Threadneedle Palette Atelier Bobbin",
        "Cotton Beginner Artist Deluxe Refill Portable",
    ),
}
"""Department: its brands and the features of its items."""

JOURNEYS = {
    "photography": "Photo:Camera, Photo:Prime Lens, Photo:Tripod, "
    "Photo:Camera Bag, Home Decor:Gallery Frame",
    "instant pictures": "Photo:Instant Camera, Photo:Instant Film, Craft:Photo Album, "
    "Home Decor:String Lights, Books:Photography Manual",
    "nights under canvas": "Outdoor:Tent, Outdoor:Sleeping Bag, Outdoor:Camp Stove, "
    "Outdoor:Headlamp, Books:Field Guide",
    "long walks": "Outdoor:Hiking Boots, Outdoor:Trekking Poles, Outdoor:Backpack, "
    "Outdoor:Water Filter, Books:Trail Atlas",
    "espresso at home": "Kitchen:Espresso Machine, Kitchen:Coffee Grinder, Kitchen:Milk Pitcher, "
    "Kitchen:Coffee Beans, Kitchen:Cup Set",
    "baking bread": "Kitchen:Stand Mixer, Kitchen:Loaf Pan, Kitchen:Proofing Basket, "
    "Kitchen:Bread Knife, Books:Baking Book",
    "everyday cooking": "Kitchen:Chef's Knife, Kitchen:Cutting Board, Kitchen:Whetstone, "
    "Kitchen:Skillet, Books:Cookbook",
    "a vegetable patch": "Garden:Raised Bed, Garden:Potting Soil, Garden:Seed Set, "
    "Garden:Watering Can, Books:Garden Handbook",
    "a well-kept lawn": "Garden:Lawn Mower, Garden:Grass Seed, Garden:Hedge Trimmer, "
    "Garden:Leaf Rake, Garden:Compost Bin",
    "vinyl records": "Audio:Turntable, Audio:Phono Preamp, Audio:Bookshelf Speakers, "
    "Audio:Record Brush, Home Decor:Record Shelf",
    "home recording": "Audio:Audio Interface, Audio:Studio Microphone, Audio:Headphones, "
    "Audio:Microphone Stand, Home Decor:Acoustic Panel",
    "a new puppy": "Pets:Dog Bed, Pets:Dog Leash, Pets:Dog Bowl, "
    "Pets:Chew Toy, Books:Dog Training Book",
    "a first aquarium": "Pets:Aquarium, Pets:Aquarium Filter, Pets:Aquarium Light, "
    "Pets:Aquatic Plants, Pets:Fish Food",
    "the desk": "Home Office:Standing Desk, Home Office:Office Chair, Home Office:Monitor Arm, "
    "Home Office:Desk Lamp, Home Office:Cable Tray",
    "working on a laptop": "Home Office:Laptop Stand, Home Office:Keyboard, Home Office:Mouse, "
    "Home Office:Desk Mat, Home Office:Webcam",
    "yoga": "Fitness:Yoga Mat, Fitness:Yoga Block, Fitness:Resistance Bands, "
    "Fitness:Foam Roller, Books:Yoga Book",
    "running": "Fitness:Running Shoes, Fitness:Running Watch, Fitness:Hydration Vest, "
    "Fitness:Running Belt, Fitness:Massage Gun",
    "short trips": "Travel:Cabin Suitcase, Travel:Packing Cubes, Travel:Neck Pillow, "
    "Travel:Power Adapter, Books:City Guide",
    "sewing": "Craft:Sewing Machine, Craft:Fabric Bundle, Craft:Thread Set, "
    "Craft:Fabric Scissors, Books:Pattern Book",
    "watercolour painting": "Craft:Watercolour Set, Craft:Brush Set, Craft:Sketchbook, "
    "Craft:Easel, Home Decor:Picture Frame",
}
"""What a journey is for: its path of product types, written department:type."""

STEPS = 5
CATALOG_SHAPE = (len(JOURNEYS), STEPS, len(STYLES), ITEMS_PER_STYLE)


def make_catalog(rng: np.random.Generator) -> list[Item]:
    """Draw brand, features and price of every item.

    Returns:
        The items in the order journey, step, style, shelf place: `CATALOG_SHAPE` flattened.
    """
    items: list[Item] = []
    for purpose, journey in JOURNEYS.items():
        for step in journey.split(", "):
            department, product_type = step.split(":")
            items += _make_type(rng, purpose, department, product_type, len(items) + 1)
    return items


def _make_type(
    rng: np.random.Generator, purpose: str, department: str, product_type: str, first_number: int
) -> list[Item]:
    """All items of one product type, style by style."""
    brands, features = (words.split() for words in DEPARTMENTS[department])
    base_price = rng.uniform(12, 90)
    items: list[Item] = []
    for style, (description, price_factor) in STYLES.items():
        for feature in rng.permutation(features)[:ITEMS_PER_STYLE]:
            brand = str(rng.choice(brands))
            price = base_price * price_factor * rng.uniform(0.9, 1.1)
            items.append(
                Item(
                    item_id=f"SKU-{first_number + len(items):05}",
                    title=f"{brand} {style} {product_type}, {feature}",
                    categories=[department, product_type],
                    brand=brand,
                    description=f"{product_type.capitalize()} for {purpose}: {description}.",
                    properties={"price": f"{price:.2f}", "style": style.lower()},
                )
            )
    return items
